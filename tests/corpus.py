"""The small cohorts of corpus.yaml as folders on disk."""

import gzip
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.core.config import read_yaml
from cxr.films.dicom import DICOM_SUFFIXES
from cxr.films.medmnist import medmnist_array
from tests.conftest import phantom, write_dicom

CORPUS: dict[str, dict[str, Any]] = read_yaml(Path(__file__).with_suffix(".yaml"))
MOST, PX = 8, 64


def for_eight_patients(text: str) -> str:
    """params.yaml with shares of which eight patients leave some in each split."""
    for old, new in (("val_fraction: 0.2", "val_fraction: 0.4"), ("test_fraction: 0.2", "test_fraction: 0.25")):
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def write_cohort(case: dict[str, Any], folder: Path) -> Path:
    """Write a cohort into `folder`; returns what a user would name to `check`: the folder, or its .npz file."""
    folder.mkdir(parents=True)
    if "npz" in case:
        return _write_npz(case, folder / "pneumoniamnist.npz")
    films, masks = (
        [unicodedata.normalize(case.get("form", "NFC"), name) for one in case.get(kind, []) for name in expanded(one)]
        for kind in ("films", "masks")
    )
    assert len(films) <= MOST
    for seed, name in enumerate(films):
        suffix = Path(name).suffix.lower()
        if suffix in (".png", ".jpg", ".jpeg"):
            _write(folder / name, _encoded(seed, suffix))
        else:
            assert suffix in DICOM_SUFFIXES or suffix[1:].isdigit() or not suffix, name
            tags = {"SOPInstanceUID": f"1.2.{seed + 1}", "PatientID": Path(name).stem} | case.get("tags", {})
            write_dicom(folder / name, phantom(seed, PX, PX)[0], **tags)
    for seed, name in enumerate(masks):
        _write(folder / name, _encoded(seed, ".png", mask=True))
    for name, rows in case.get("rows", {}).items():
        _write(folder / name, rows.replace("{root}", str(folder.resolve())).replace(" ", "\n").encode())
    for name, given in case.get("files", {}).items():
        encoding, text = next(iter(given.items())) if isinstance(given, dict) else ("utf-8", given)
        content = text.encode(encoding)
        _write(folder / name, gzip.compress(content) if name.endswith(".gz") else content)
    return folder


def expanded(pattern: str) -> list[str]:
    """The names that a pattern with {a,b} and {1..3} means, as a shell expands it."""
    inner = re.search(r"\{([^{}]*)\}", pattern)
    if not inner:
        return [pattern]
    ends = re.fullmatch(r"(\d+)\.\.(\d+)", inner[1])
    choices = [str(one) for one in range(int(ends[1]), int(ends[2]) + 1)] if ends else inner[1].split(",")
    if "{" in pattern[: inner.start()].rpartition("}")[2]:  # within other braces: these get more choices
        return expanded(_distributed(pattern, inner, choices))
    return [name for one in choices for name in expanded(f"{pattern[: inner.start()]}{one}{pattern[inner.end() :]}")]


def _distributed(pattern: str, inner: re.Match[str], choices: list[str]) -> str:
    """The pattern with the choices of inner braces as choices of the outer ones: {a{1,2}b,c} as {a1b,a2b,c}."""
    start = max(pattern.rfind(mark, 0, inner.start()) for mark in "{,") + 1
    end = min(place for mark in ",}" if (place := pattern.find(mark, inner.end())) >= 0)
    before, after = pattern[start : inner.start()], pattern[inner.end() : end]
    return f"{pattern[:start]}{','.join(f'{before}{one}{after}' for one in choices)}{pattern[end:]}"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@cache
def _encoded(seed: int, suffix: str, mask: bool = False) -> bytes:
    """Equal files in all cohorts, so that the stages work on each once."""
    return cv2.imencode(suffix, phantom(seed, PX, PX)[mask])[1].tobytes()


def _write_npz(case: dict[str, Any], path: Path) -> Path:
    arrays: dict[str, Any] = {}
    seed = 0
    for split, labels in case["npz"].items():
        films = case.get("images", {}).get(split, len(labels))
        arrays[f"{split}_images"] = np.stack([phantom(seed + index, PX, PX)[0] for index in range(films)])
        arrays[f"{split}_labels"] = np.array(labels)
        seed += films
    np.savez(path, **arrays)
    medmnist_array.cache_clear()  # it knows files by name
    return path
