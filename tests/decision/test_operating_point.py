import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, softmax

from cxr.core.errors import CxrError
from cxr.decision.operating_point import read_operating_point, write_operating_point
from cxr.evaluate.fit import fit_operating_point
from cxr.evaluate.table import labels, scores
from tests.evaluate.conftest import BINARY, THREE, operating_point, predictions


def _fit(classes: tuple[str, ...] = BINARY, rule: str = "youden"):
    table = predictions(classes=classes, splits=("val",))
    logits, label = scores(table, "logit", classes), labels(table, classes)
    return fit_operating_point("f" * 32, classes, logits, label, table["patient_id"].tolist(), rule, 200, 0)


def test_it_survives_its_file(tmp_path: Path):
    point = _fit()
    write_operating_point(tmp_path / "point.json", point)
    assert read_operating_point(tmp_path / "point.json", classifier="f" * 32) == point


def test_the_threshold_comes_with_its_interval():
    point = _fit()
    assert point.threshold_low < point.threshold < point.threshold_high
    assert (point.films, point.patients, point.fitted_on) == (120, 60, "val")


def test_one_patient_gives_no_interval_of_the_threshold():
    table = predictions(films=20, splits=("val",)).assign(patient_id="p0")
    point = fit_operating_point(
        "f",
        BINARY,
        scores(table, "logit", BINARY),
        labels(table, BINARY),
        table["patient_id"].tolist(),
        "youden",
        200,
        0,
    )
    assert (point.threshold_low, point.threshold_high) == (None, None)


def test_resamples_of_one_class_do_not_enter_the_interval_of_the_threshold():
    logits, label = np.array([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]), np.array([0, 0, 0, 1, 1, 1])
    point = fit_operating_point("f", BINARY, logits, label, list("abcdef"), "youden", 500, 0)
    low, high = point.threshold_low, point.threshold_high
    assert low is None or expit(-1.0) <= low <= high <= expit(2.0)


def test_three_classes_take_the_likeliest_and_still_get_a_temperature():
    point = _fit(THREE)
    assert (point.rule, point.threshold) == ("argmax", None)
    assert point.temperature != 1.0
    assert point.decide(np.array([[0.2, 0.5, 0.3]])).tolist() == [1]


def test_a_file_of_another_classifier_is_refused(tmp_path: Path):
    write_operating_point(tmp_path / "point.json", operating_point())
    with pytest.raises(CxrError, match="fitted for classifier 000000000000, not for aaaaaaaaaaaa"):
        read_operating_point(tmp_path / "point.json", classifier="a" * 32)


def test_a_damaged_or_missing_file_says_what_to_run(tmp_path: Path):
    with pytest.raises(CxrError, match="no operating point; run `dvc repro evaluate` first"):
        read_operating_point(tmp_path / "point.json")
    (tmp_path / "point.json").write_text('{"classifier": 3}')
    with pytest.raises(CxrError, match="no valid operating point"):
        read_operating_point(tmp_path / "point.json")


def test_without_validation_films_there_is_none():
    with pytest.raises(CxrError, match="no film with split 'val'"):
        fit_operating_point("f", BINARY, np.zeros(0), np.zeros(0, np.int64), [], "youden", 100, 0)


def test_films_closer_than_a_rounding_still_fall_on_their_own_side():
    logits = np.array([0.0, 1e-8, 2e-8, 3e-8]) + 0.3
    point = fit_operating_point("f", BINARY, logits, np.array([0, 0, 1, 1]), list("abcd"), "youden", 100, 0)
    assert point.decide(point.probability(logits)).tolist() == [0, 0, 1, 1]


def test_applying_one_needs_neither_statistics_nor_tables():
    code = "import sys, cxr.decision.operating_point; print(sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not [name for name in ("pandas", "sklearn", "scipy", "torch") if repr(name) in run.stdout]
    assert "cxr.evaluate.intervals" not in run.stdout


def test_probabilities_are_those_of_scipy_and_never_overflow():
    logits = np.array([-800.0, -3.2, 0.0, 1e-9, 40.0, 800.0])
    np.testing.assert_allclose(operating_point().probability(logits), expit(logits), rtol=1e-15)
    three = np.array([[900.0, 0.0, -900.0], [0.1, 0.2, 0.3]])
    np.testing.assert_allclose(operating_point(THREE).probability(three), softmax(three, axis=1), rtol=1e-14)
