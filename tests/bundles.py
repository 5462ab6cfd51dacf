"""A small bundle on synthetic films, made by the stages themselves; its classifier is small and not trained."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch

from cxr.core.config import Section, load_section
from cxr.core.files import write_json
from cxr.decision.operating_point import ARGMAX, OperatingPoint, write_operating_point
from cxr.evaluate.table import LOGIT, put_decisions, put_scores, write_predictions
from cxr.ingest.config import DataSection
from cxr.ingest.ingest import ingest
from cxr.models.classifier import new_classifier, save_classifier, score
from cxr.npz.films import read_index, read_npz
from cxr.package.build import Places, build_bundle
from cxr.package.config import PackageSection
from cxr.preprocess.build import build_npz_set
from cxr.preprocess.config import PreprocessSection
from cxr.runtime.compute import load_compute
from cxr.segment.config import SegmentSection
from cxr.segment.segment import segment_cohort
from tests.conftest import phantom, write_image

ROOT = Path(__file__).parents[1]
BACKBONE = "test_resnet"
TWO, THREE = ("normal", "pneumonia"), ("normal", "bacterial", "viral")
S = TypeVar("S", bound=Section)
SPLITS = ("train", "train", "val", "test")


@dataclass(frozen=True)
class Project:
    """What the stages leave behind, and the bundle made of it."""

    root: Path
    classes: tuple[str, ...]
    bundle: Path
    archive: Path


def make_project(root: Path, classes: tuple[str, ...] = TWO, films: int = 48, **package: Any) -> Project:
    """Run every stage in a folder, on phantoms; the classifier is not trained."""
    before, environment = Path.cwd(), os.environ.pop("DVC_ROOT", None)
    os.chdir(root)
    try:
        _write_films(classes, films)
        _prepare(classes)
        _classify(classes)
        section = params("package", PackageSection, **{"torchscript": False, **package})
        build_bundle(places(), section, Path("models/bundle"), Path("models/model.tar.gz"))
    finally:
        os.chdir(before)
        if environment is not None:
            os.environ["DVC_ROOT"] = environment
    return Project(root, classes, root / "models/bundle", root / "models/model.tar.gz")


def places() -> Places:
    """As the package stage has them."""
    return Places(
        classifier=Path("models/classifier.ckpt"),
        operating_point=Path("models/operating_point.json"),
        npz=Path("data/npz"),
        acquisition=Path("data/acquisition.csv"),
        segmenter=ROOT / "models/lung_segmenter.onnx",
        metrics=Path("metrics"),
        licence=ROOT / "LICENSE",
        requirements=ROOT / "requirements-serve.txt",
    )


def params(name: str, model: type[S], **changes: Any) -> S:
    """A section of the repository's params.yaml, with some values changed."""
    section = load_section(name, model, ROOT / "params.yaml")
    return model.model_validate({**section.model_dump(), **changes})


def _write_films(classes: tuple[str, ...], films: int) -> None:
    for index in range(films):
        label, split = classes[index % len(classes)], SPLITS[index // len(classes) % len(SPLITS)]
        film, _ = phantom(index, width=320 + 8 * (index % 3), height=280)
        write_image(Path(f"films/{split}/{label}/P{index:03d}_1.{('png', 'jpg')[index % 2]}"), film)


def _prepare(classes: tuple[str, ...]) -> None:
    compute = load_compute(ROOT / "compute.yaml").model_copy(update={"workers": 1})
    data = params("data", DataSection, root="films", layout="folders", classes=classes, masks_dir="none")
    ingest(data, compute, Path("data"))
    manifest, masks, segmenter = Path("data/manifest.csv"), Path("data/masks"), places().segmenter
    segment_cohort(manifest, segmenter, masks, Path("data/masks.csv"), params("segment", SegmentSection), compute)
    build_npz_set(manifest, masks, Path("data/npz"), params("preprocess", PreprocessSection, image_px=64), compute)


def _classify(classes: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    classifier = new_classifier(BACKBONE, classes, image_px=64).eval()
    rows = read_index(Path("data/npz"))
    images = np.stack([read_npz(Path("data/npz") / row.file).image for row in rows])
    with torch.no_grad():  # spread the scores, so that both classes are called
        head = classifier.head[-1]
        head.weight.mul_(30)
        if len(classes) == 2:
            head.bias.sub_(float(np.median(score(classifier, images))))
    classifier.facts["provenance"] = {"data": "d" * 32, "code": "c" * 32}  # as training writes them
    save_classifier(Path("models/classifier.ckpt"), classifier)
    two = len(classes) == 2
    point = OperatingPoint(
        classifier.fingerprint, classes, "youden" if two else ARGMAX, 0.45 if two else None,
        0.4 if two else None, 0.5 if two else None, 1.5, "", "val", 12, 12,
    )  # fmt: skip
    write_operating_point(Path("models/operating_point.json"), point)
    table = pd.DataFrame([vars(row) for row in rows])[["image_id", "patient_id", "split", "label"]]
    put_scores(table, LOGIT, classes, score(classifier, images))
    write_predictions(Path("metrics/predictions.csv"), put_decisions(table, point))
    figures = {"films": 12, "auroc": 0.5, "auroc_low": 0.3, "auroc_high": 0.7, "ece": None, "ece_reason": "few films"}
    write_json(Path("metrics/details/performance.json"), {"test": figures, "reported_split": "test"})
