"""A small NPZ set, a tiny classifier and a table of predictions."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from cxr.acquisition.statistics import GREY_STATISTICS, acquisition_statistics
from cxr.decision.operating_point import OperatingPoint
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.results import EvaluationResult, evaluation_result
from cxr.evaluate.table import put_scores
from cxr.models.classifier import Classifier, new_classifier
from cxr.npz.films import NpzFilm, NpzRow, encode_npz, read_index, read_npz, write_index
from cxr.npz.preparation import to_json
from tests.conftest import PREPARATION, phantom

BINARY = ("normal", "pneumonia")
THREE = ("bacterial", "normal", "viral")
SPEC = to_json(PREPARATION)


def make_npz_set(folder: Path, counts: dict[str, int], classes: tuple[str, ...] = BINARY) -> Path:
    """Phantom films of 64 px, two per patient, with a brighter patch in the lungs of the later classes."""
    rows = []
    for split, count in counts.items():
        for number in range(count):
            label = (number // 2) % len(classes)
            name = f"{split}{number:03d}"
            film, mask = phantom(seed=1000 * len(split) + number, width=64, height=64)
            film = np.where((mask > 0) & (np.indices(mask.shape)[0] > 32), film // 2 + 60 * label, film)
            image = np.dstack([film, film, film, mask]).astype(np.uint8)
            patient = f"{split}-p{number // 2}"
            entry = NpzFilm(image, label, name, patient, classes, f"{number:032x}", (0, 0, 64, 64), (64, 64), SPEC)
            path = folder / split / f"{name}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_npz(entry))
            attributes = {"view": "AP" if number % 3 else "PA", "cause": classes[label]}
            file = f"{split}/{name}.npz"
            rows.append(NpzRow(file, name, patient, split, classes[label], classes, entry.film_hash, attributes))
    write_index(folder / "index.csv", rows)
    return folder


def acquisition(npz: Path) -> pd.DataFrame:
    """The acquisition statistics of every film, as ingest measures them."""
    rows = read_index(npz)
    values = [acquisition_statistics(read_npz(npz / row.file).image[..., 0]) for row in rows]
    return pd.DataFrame(values, columns=list(GREY_STATISTICS), index=[row.image_id for row in rows])


def tiny_classifier(classes: tuple[str, ...] = BINARY) -> Classifier:
    torch.manual_seed(0)
    classifier = new_classifier("test_efficientnet", classes, image_px=64).eval()
    classifier.facts["npz_spec"] = SPEC
    return classifier


def predictions(
    films: int = 120, classes: tuple[str, ...] = BINARY, seed: int = 0, splits: tuple[str, ...] = ("val", "test")
) -> pd.DataFrame:
    """Two films per patient; logits that separate the classes with some overlap."""
    random = np.random.default_rng(seed)
    parts = []
    for split in splits:
        label = np.arange(films) // 2 % len(classes)
        if len(classes) == 2:
            logits = random.normal(3.0 * label - 1.5, 1.5)
        else:
            logits = random.normal(0, 1, (films, len(classes))) + 2 * np.eye(len(classes))[label]
        table = pd.DataFrame(
            {
                "image_id": [f"{split}{number:04d}" for number in range(films)],
                "patient_id": [f"{split}-p{number // 2}" for number in range(films)],
                "split": split,
                "label": [classes[index] for index in label],
            }
        )
        put_scores(table, "logit", classes, logits)
        table["view"] = np.where(random.random(films) < 0.4, "AP", "PA")
        parts.append(table)
    return pd.concat(parts, ignore_index=True)


def operating_point(
    classes: tuple[str, ...] = BINARY, threshold: float | None = 0.5, classifier: str = "0" * 32
) -> OperatingPoint:
    rule = "youden" if len(classes) == 2 else "argmax"
    at = threshold if len(classes) == 2 else None
    return OperatingPoint(classifier, classes, rule, at, at, at, 1.0, "", "val", 10, 10)


EARLIER = {
    "data": {"films": 240, "splits": {"val": {"films": 120}, "test": {"films": 120}}},
    "segmentation": {"films": 240, "fallbacks": 0, "dice": 0.95, "dice_worst_5_percent": 0.9},
    "training": {"best": {"epoch": 3}, "provenance": {"data": "d" * 32, "code": "c" * 32}},
}


def conclude(table: pd.DataFrame, section: EvaluateSection, classes: tuple[str, ...] = BINARY) -> EvaluationResult:
    return evaluation_result(table, "f" * 32, classes, section, EARLIER, "here")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks on one thread: several threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def npz_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_npz_set(
        tmp_path_factory.mktemp("npz"), {"train": 24, "val": 16, "test": 20, "corrupted": 16, "swapped": 16}
    )
