"""Acceptance criteria: what counts as met, missed and undecided, and how many patients would decide."""

import math
from pathlib import Path
from typing import Any

import pytest

from cxr.core.errors import CxrError
from cxr.evaluate.intervals import Sample, share_interval
from cxr.report.criteria import Acceptance, criteria_text, decide, read_criteria
from tests.bundles import TWO

BLOCK = {
    "patients": 100,
    "sensitivity": 0.94,
    "sensitivity_low": 0.88,
    "sensitivity_high": 0.97,
    "ece": 0.03,
    "flagged": 0.1,
    "rejected": 0.0,
}


def answer(folder: Path, line: str, **changed: Any) -> Acceptance:
    file = folder / "criteria.yaml"
    file.write_text(f"criteria:\n- {{{line}}}\n")
    return decide(read_criteria(file, TWO), {**BLOCK, **changed})


@pytest.mark.parametrize(
    ("line", "verdict"),
    [
        ("metric: sensitivity_low, at_least: 0.85", "accepted"),
        ("metric: sensitivity_low, at_least: 0.90", "too few films"),
        ("metric: sensitivity_low, at_least: 0.98", "rejected"),
        ("metric: sensitivity, at_least: 0.95", "rejected"),
        ("metric: ece, at_most: 0.05", "accepted"),
        ("metric: flagged, at_most: 0.05", "rejected"),
    ],
)
def test_a_criterion_on_a_limit_is_missed_only_if_the_whole_interval_is_beyond_it(
    tmp_path: Path, line: str, verdict: str
) -> None:
    assert answer(tmp_path, line).verdict == verdict


def test_an_undefined_metric_is_undecided_and_no_number_is_told(tmp_path: Path) -> None:
    found = answer(tmp_path, "metric: specificity_low, at_least: 0.8", specificity=None)
    assert found.verdict == "too few films"
    assert criteria_text(found).endswith("**too few films**: no number of patients can be told")


def test_one_missed_criterion_rejects_whatever_the_others_say(tmp_path: Path) -> None:
    file = tmp_path / "criteria.yaml"
    file.write_text(
        "criteria:\n- {metric: sensitivity_low, at_least: 0.9}\n- {metric: ece, at_most: 0.01}\n"
        "- {metric: flagged, at_most: 0.2}\n"
    )
    found = decide(read_criteria(file, TWO), BLOCK)
    assert [one.outcome for one in found.answers] == ["undecided", "missed", "met"]
    assert found.verdict == "rejected"


@pytest.mark.parametrize(("rate", "verdict"), [(0.95, "accepted"), (0.85, "rejected")])
def test_about_as_many_patients_as_it_tells_decide(tmp_path: Path, rate: float, verdict: str) -> None:
    line = "metric: sensitivity_low, at_least: 0.9"
    found = answer(tmp_path, line, **block(rate, 60))
    (undecided,) = found.answers
    assert undecided.patients is not None
    assert f"about {undecided.patients} patients like these would decide" in criteria_text(found)
    assert answer(tmp_path, line, **block(rate, int(1.25 * undecided.patients))).verdict == verdict
    assert answer(tmp_path, line, **block(rate, int(0.7 * undecided.patients))).verdict == "too few films"


def block(rate: float, patients: int) -> dict[str, Any]:
    """Metrics of so many patients with the finding, one film each, of which this share is found."""
    interval = share_interval(rate, math.sqrt(rate * (1 - rate) / patients), Sample(patients, patients))
    assert interval is not None
    return {
        "patients": patients,
        "sensitivity": rate,
        "sensitivity_low": interval[0],
        "sensitivity_high": interval[1],
    }


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("criteria:\n- {metric: sensitivty_low, at_least: 0.9}\n", "no metric 'sensitivty_low'; did you mean"),
        ("criteria:\n- {metric: ece_high, at_most: 0.05}\n", "ece_high: ece has no confidence interval; write ece"),
        ("criteria:\n- {metric: ece}\n", "criterion 1: ece: give at_least or at_most"),
        ("criteria:\n- {metric: ece, at_most: 1, at_least: 0}\n", "criterion 1: ece: give at_least or at_most"),
        ("criteria: []\n", "expected a list `criteria`"),
        ("criterion:\n- {metric: ece, at_most: 1}\n", "expected a list `criteria`"),
    ],
)
def test_a_faulty_file_is_one_error(tmp_path: Path, content: str, error: str) -> None:
    (tmp_path / "criteria.yaml").write_text(content)
    with pytest.raises(CxrError, match=error):
        read_criteria(tmp_path / "criteria.yaml", TWO)
