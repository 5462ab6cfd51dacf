"""What a bundle says about itself, for the pages of registries: metrics with intervals, data, training settings."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.bundle.config import InferenceConfig, read_config
from cxr.bundle.files import CARD, CONFIG, PROVENANCE, verify_sums
from cxr.core.config import read_yaml
from cxr.core.errors import CxrError

HEADER = re.compile(r"(?m)^\| \w+ \| (\w+), (\d+) films \|$")
ROW = re.compile(r"(?m)^\| ([a-z0-9 ]+) \| (\d+\.\d+)(?: \[(\d+\.\d+), (\d+\.\d+)\])? \|$")
OPERATING_POINT = Path("models/operating_point.json")
LOCK = Path("dvc.lock")
DATA = {"data/manifest.csv": "ingest", "data/npz": "preprocess"}  # the split, the images, and their stages


@dataclass(frozen=True)
class Metric:
    """A metric with its 95 % CI, which some metrics lack."""

    name: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class BundleFacts:
    """A bundle whose files were verified."""

    folder: Path
    version: str  # hash of the bundle's checksums
    config: InferenceConfig
    provenance: dict[str, Any]
    card: str  # Markdown
    split: str  # whose films the metrics are of
    films: int  # of that split
    metrics: tuple[Metric, ...]

    @property
    def population(self) -> str:
        """Source of the training films, in words."""
        return self.config.population.description.get("source", "films of one cohort, not published")

    @property
    def classifier(self) -> str:
        """Fingerprint of the weights."""
        return str(self.provenance["classifier"])


def read_facts(folder: Path) -> BundleFacts:
    """Verify a bundle and read its documents; raises CxrError for a damaged bundle or one without metrics."""
    version = verify_sums(folder)
    card = (folder / CARD).read_text(encoding="utf-8")
    split, films, metrics = _metrics(card, folder / CARD)
    provenance = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    return BundleFacts(folder, version, read_config(folder / CONFIG), provenance, card, split, films, metrics)


def _metrics(card: str, path: Path) -> tuple[str, int, tuple[Metric, ...]]:
    """Split, films and metrics of the card's table, the only file of a bundle that has them."""
    header = HEADER.search(card)
    if header is None:
        raise CxrError(f"{path}: no table of metrics; make the bundle again with `dvc repro package`")
    table = card[header.end() :].partition("\n\n")[0]
    metrics = [
        Metric(name.replace(" ", "_"), float(value), float(low) if low else None, float(high) if high else None)
        for name, value, low, high in ROW.findall(table)
    ]
    return header[1], int(header[2]), tuple(metrics)


def data_digests(facts: BundleFacts) -> dict[str, str]:
    """Digests of the films behind a bundle, by name.

    For the classifier of this checkout these are DVC's MD5s of the split and of the images, from dvc.lock. For any
    other they are the hashes that training and packaging stored in the bundle.
    """
    if _of_this_checkout(facts):
        stages = read_yaml(LOCK)["stages"]
        outs = {out["path"]: str(out["md5"]) for stage in DATA.values() for out in stages[stage]["outs"]}
        return {path: outs[path] for path in DATA}
    found = {"training data": facts.provenance["training"].get("data", ""), "films": facts.provenance["films_hash"]}
    return {name: digest for name, digest in found.items() if digest}


def _of_this_checkout(facts: BundleFacts) -> bool:
    try:
        point = json.loads(OPERATING_POINT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return LOCK.is_file() and point.get("classifier") == facts.classifier
