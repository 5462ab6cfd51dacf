"""A frozen bundle on labelled films."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.__main__ import main
from cxr.acquisition.statistics import STATISTICS, quantiles
from cxr.bundle.reference import Reference
from cxr.core.errors import CxrError
from cxr.decision.operating_point import read_operating_point
from cxr.predict.batch import Record
from cxr.predict.predictor import Predictor
from cxr.report.external import drift, from_csv, from_folders, patients
from tests.bundles import ROOT, TWO, Project

FILMS = ["d/NORMAL/person1_a.jpeg", "d/NORMAL/person1_b.jpeg", "d/PNEUMONIA/person2.jpeg"]


def test_class_folders_are_labels_in_any_case() -> None:
    assert from_folders(FILMS, TWO)["label"].tolist() == ["normal", "normal", "pneumonia"]
    with pytest.raises(CxrError, match="no folder named normal or pneumonia"):
        from_folders(["d/other/a.png"], TWO)


@pytest.mark.parametrize("name", ["d/NORMAL/person1_a.jpeg", "NORMAL/person1_a.jpeg", "person1_a.jpeg", "person1_a"])
def test_a_csv_may_name_a_film_with_any_suffix(tmp_path: Path, name: str) -> None:
    (tmp_path / "l.csv").write_text(f"path,label,age\n{name},Pneumonia,4\nother.png,0,5\n")
    found = from_csv(str(tmp_path / "l.csv"), FILMS, TWO)
    assert found[["film", "label", "age"]].values.tolist() == [[FILMS[0], "pneumonia", "4"]]


def test_a_label_outside_the_classes_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("path,label\nperson2,pnuemonia\n")
    with pytest.raises(CxrError, match=r"unknown label 'pnuemonia' \(1\); did you mean 'pneumonia'"):
        from_csv(str(tmp_path / "l.csv"), FILMS, TWO)


def test_rows_without_a_film_and_films_without_a_row_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "l.csv").write_text("path,label\nperson2,pneumonia\nlost.png,normal\n")
    assert len(from_csv(str(tmp_path / "l.csv"), FILMS, TWO)) == 1
    assert "1 rows name none of the films and are skipped, such as" in caplog.text
    assert "l.csv:3 'lost.png'; check --films" in caplog.text
    assert "2 of 3 films have no row" in caplog.text


@pytest.mark.parametrize(
    ("table", "remedy"),
    [
        ("Image Index,Finding Labels\nperson2,No Finding\n", "name yours 'path' in the header"),
        ("path,label\nperson2,No Finding\n", "write one of them in each row, and remove rows of other films"),
        ("path,label\nlost.png,normal\n", "its first is 'lost.png'; correct --films or path"),
    ],
)
def test_each_fault_of_a_table_has_a_remedy(tmp_path: Path, table: str, remedy: str) -> None:
    (tmp_path / "l.csv").write_text(table)
    with pytest.raises(CxrError, match=re.escape(remedy)):
        from_csv(str(tmp_path / "l.csv"), FILMS, TWO)


def test_a_pattern_groups_the_films_of_a_patient() -> None:
    table = from_folders(FILMS, TWO)
    assert patients(table, r"(person\d+)").tolist() == ["person1", "person1", "person2"]
    assert patients(table, "").tolist() == FILMS
    assert patients(table.assign(patient_id=["x", "", "y"]), r"(person\d+)").tolist() == ["x", FILMS[1], "y"]


@pytest.fixture
def external(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All films of the project as a source of its own, evaluated; returns the folder of results."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    arguments = ["--bundle", str(project.bundle), "--films", str(project.root / "films"), "--out", "out"]
    main(["validate", *arguments, "--patient", r"(P\d+)", "--workers", "2"])
    return tmp_path / "out"


def test_a_faulty_table_is_reported_before_any_film_is_scored(project: Project, tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("path,label\nP000_1,perhaps\n")
    arguments = ["--bundle", str(project.bundle), "--films", str(project.root / "films"), "--out", str(tmp_path / "o")]
    with pytest.raises(CxrError, match=r"unknown label 'perhaps' \(1\)"):
        main(["validate", *arguments, "--labels", str(tmp_path / "l.csv")])
    assert not (tmp_path / "o").exists()


def test_metrics_are_computed_at_the_stored_threshold(external: Path, project: Project) -> None:
    found = json.loads((external / "external.json").read_text())
    point = read_operating_point(project.root / "models/operating_point.json")
    table = pd.read_csv(external / "predictions.csv")
    positive = table["film"].str.contains("/pneumonia/").to_numpy()
    called = (table["probability"] >= point.threshold).to_numpy()
    block = found["figures"]["all"]
    assert block["films"] == 48
    assert block["counts"] == {
        "tp": int((called & positive).sum()), "fp": int((called & ~positive).sum()),
        "fn": int((~called & positive).sum()), "tn": int((~called & ~positive).sum()),
    }  # fmt: skip
    assert block["auroc_low"] <= block["auroc"] <= block["auroc_high"]
    assert found["figures"]["reliable"]["films"] == (table["reliable"] == "yes").sum()


def test_training_films_show_no_drift(external: Path) -> None:
    found = json.loads((external / "external.json").read_text())["drift"]
    assert set(found) == set(STATISTICS)
    assert all(one["ks"] < 0.35 and one["outside"] < 0.2 for one in found.values())


def test_drift_names_the_changed_statistic(project: Project) -> None:
    rng = np.random.default_rng(0)
    then = [rng.normal(10, 1, len(STATISTICS)) for _ in range(500)]
    reference = Reference(Predictor.load(project.bundle).reference.feature_space, quantiles(then), 500)
    shift = np.where(np.array(STATISTICS) == "contrast", 3, 0)
    records = [Record({}, list(rng.normal(10, 1, len(STATISTICS)) + shift)) for _ in range(300)]
    found = drift([*records, Record({}, [])], reference)
    assert found["contrast"]["ks"] > 0.8
    assert found["contrast"]["outside"] > 0.7
    assert all(one["ks"] < 0.15 for name, one in found.items() if name != "contrast")
