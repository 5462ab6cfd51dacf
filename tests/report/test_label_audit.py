"""Labels that contradict the predictions: which films are named, and the label file that ingest reads back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import CxrError
from cxr.films.manifest import Record
from cxr.ingest.config import DataSection
from cxr.ingest.layouts import find_entries
from cxr.report.label_audit import label_file, label_issues, suspected
from tests.conftest import phantom, write_image
from tests.evaluate.conftest import BINARY, THREE, predictions
from tests.settings import section


def wrong(table: pd.DataFrame, films: list[int]) -> pd.DataFrame:
    """The table with the labels of some films exchanged."""
    other = {"normal": "pneumonia", "pneumonia": "normal"}
    changed = table.copy()
    changed.loc[films, "label"] = changed.loc[films, "label"].map(other)
    return changed


def crossfitted() -> pd.DataFrame:
    table = predictions(films=400, splits=("val",))
    table["logit"] = np.where(table["label"] == "pneumonia", 3.0, -3.0) + np.random.default_rng(0).normal(0, 1, 400)
    return table.assign(recipe="default", seed=1, fold=np.arange(400) // 2 % 5)


def test_exchanged_labels_are_suspected_and_the_least_confident_comes_first() -> None:
    exchanged = [3, 60, 61, 200, 333]
    found = suspected(wrong(crossfitted(), exchanged), BINARY)
    names = {f"val{place:04d}" for place in exchanged}
    assert names <= set(found["image_id"])
    assert len(found) < 10
    assert found["self_confidence"].is_monotonic_increasing
    assert (found["suggested"] != found["label"]).all()


def test_a_film_below_the_mean_confidence_of_every_class_is_not_suspected() -> None:
    probability = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [0.55, 0.45]])
    label = np.array([0, 0, 1, 1, 1])
    suggested, issue = label_issues(probability, label)
    assert not issue.any()
    probability[4] = 0.95, 0.05
    suggested, issue = label_issues(probability, label)
    assert issue.tolist() == [False, False, False, False, True]
    assert suggested[4] == 0


def test_three_classes_are_audited_alike() -> None:
    table = predictions(films=300, classes=THREE, splits=("val",))
    for place, name in enumerate(THREE):
        table[f"logit_{name}"] += 4 * (np.arange(300) // 2 % 3 == place)
    table = table.assign(fold=np.arange(300) // 2 % 5)
    table.loc[0, "label"] = "viral"
    found = suspected(table, THREE)
    assert found["image_id"].iloc[0] == "val0000"
    assert found["suggested"].iloc[0] == "bacterial"


def record(path: str, label: str, patient: str, split: str = "train") -> Record:
    return Record(Path(path).stem, path, label, patient, split, 160, 128, 8, "hash", "pixels", "", {"view": "PA"})


def test_the_label_file_starts_with_the_suspected_films_and_a_corrected_label_reaches_ingest(workspace: Path) -> None:
    records = []
    for number in range(4):
        path = write_image(workspace / f"films/{BINARY[number % 2]}/P{number}.png", phantom(number)[0])
        split = "test" if number == 3 else "val"
        records.append(record(str(path.relative_to(workspace)), BINARY[number % 2], f"P{number}", split))
    found = pd.DataFrame({"image_id": ["P2"], "suggested": ["pneumonia"], "self_confidence": [0.01]})
    table = label_file(records, found, Path("films"))
    assert table.iloc[0][["path", "label", "suggested"]].tolist() == ["normal/P2.png", "normal", "pneumonia"]
    assert table["split"].tolist() == ["", "", "", "test"]
    table.loc[table["path"] == "normal/P2.png", "label"] = "pneumonia"
    table[table["path"] != "normal/P0.png"].to_csv(workspace / "films/labels.csv", index=False)
    changes = {"root": "films", "layout": "csv", "labels_csv": "labels.csv", "patient_from": "column"}
    entries, findings = find_entries(section(DataSection, **changes))
    assert {entry.name: entry.label for entry in entries} == {
        "normal/P2.png": "pneumonia",
        "pneumonia/P1.png": "pneumonia",
        "pneumonia/P3.png": "pneumonia",
    }
    assert [finding.problem for finding in findings] == [
        "films/labels.csv: 1 films under films have no row and are skipped"
    ]


def test_films_outside_the_folder_cannot_be_named_in_a_label_file() -> None:
    found = pd.DataFrame({"image_id": [], "suggested": [], "self_confidence": []})
    with pytest.raises(CxrError, match="not inside films"):
        label_file([record("cohort.npz#train/0", "normal", "P0")], found, Path("films"))
