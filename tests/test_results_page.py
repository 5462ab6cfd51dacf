"""docs/results.md shows the external metrics of studies/external.json, and these belong to the shipped classifier."""

import json
import re
from pathlib import Path
from typing import Any

from cxr.evaluate.config import EvaluateSection
from cxr.report.crossfit_table import read_crossfit
from cxr.report.crossfit_text import crossfit_text
from tests.settings import section

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/results.md").read_text(encoding="utf-8")
STUDY: dict[str, Any] = json.loads((ROOT / "studies/external.json").read_text(encoding="utf-8"))
METRICS = ("auroc", "accuracy", "sensitivity", "specificity", "ece")


def number(value: float) -> str:
    """At least three decimals, and all that the file has."""
    return max(f"{value:.3f}", str(value), key=len)


def cell(metric: dict[str, float] | None) -> str:
    if metric is None:
        return ""
    if "mean" in metric:
        return f"{number(metric['mean'])} ± {number(metric['sd'])}"
    interval = f" [{number(metric['low'])}, {number(metric['high'])}]" if "low" in metric else ""
    return number(metric["value"]) + interval


def table(heading: str) -> list[list[str]]:
    """Rows of the first table below a heading, without its two head lines."""
    below = PAGE.partition(f"{heading}\n")[2]
    lines = re.search(r"(?:^\|.*\n)+", below, re.MULTILINE)
    assert lines is not None, heading
    return [[part.strip() for part in line.strip("|").split("|")] for line in lines[0].splitlines()[2:]]


def test_the_page_shows_every_external_row_of_the_file() -> None:
    expected = [[row["films"], row["model"], *(cell(row[name]) for name in METRICS)] for row in STUDY["rows"]]
    assert table("## Films never used in development") == expected


def test_the_page_compares_with_every_reference_of_the_file() -> None:
    names = ("auroc", "accuracy", "specificity", "ece")
    expected = [
        [row["films"], row["model"], *(number(row[name]) if name in row else "" for name in names)]
        for row in STUDY["reference"]
    ]
    assert [row for row in table("### Comparison") if "shipped bundle" not in row[1]] == expected


def test_every_external_row_names_its_commit_date_and_command() -> None:
    for row in STUDY["rows"]:
        assert all(row[name] for name in ("commit", "date", "command")), row
        assert (row["bundle"] is None) == ("shipped bundle" not in row["model"]), row


def test_the_external_results_belong_to_the_shipped_classifier() -> None:
    provenance = json.loads((ROOT / "models/chest_xray/provenance.json").read_text(encoding="utf-8"))
    assert provenance["classifier"] == STUDY["classifier"], "score the new bundle and edit the file"


def test_the_cross_fitted_study_and_the_page_show_what_the_command_prints() -> None:
    """`python -m cxr crossfit-metrics studies/crossfit_chest_xray.csv`."""
    found = read_crossfit(ROOT / "studies/crossfit_chest_xray.csv")
    text = crossfit_text(found, ("normal", "pneumonia"), section(EvaluateSection))
    study = (ROOT / "studies/crossfit_chest_xray.md").read_text(encoding="utf-8")
    assert text in study
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    view = [row for row in rows if len(row) == 9 and row[2] == "bias-conflicting"]
    assert len(view) == 3
    expected = [[row[0].strip("`"), *row[5:]] for row in view]
    assert [[row[0].strip("`"), *row[1:]] for row in table("### Cross-fitted evaluation")] == expected
    told = " ".join(PAGE.split())
    assert next(row[5] for row in rows if row[1:3] == ["bias-conflicting", "AUROC"]) in told
    points = [row for row in rows if len(row) == 6 and row[0] == "default"]
    assert all(row[5] in told for row in points if row[2] in ("sensitivity", "specificity", "balanced accuracy"))
