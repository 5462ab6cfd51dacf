"""Acceptance of a bundle at a site: criteria written before the films are scored, and whether they are met."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import model_validator

from cxr.core.config import Section, parse_section, read_yaml
from cxr.core.errors import CxrError, did_you_mean
from cxr.evaluate.scored import NO_INTERVAL
from cxr.evaluate.task import task_of
from cxr.predict.batch import Record
from cxr.report.tables import Rows, markdown

SHARES = ("flagged", "rejected")  # of all labelled films; the other metrics are those of films with a prediction
Outcome = Literal["met", "missed", "undecided"]
Verdict = Literal["accepted", "rejected", "too few films"]


class Criterion(Section):
    """One metric and its limit. `sensitivity_low` is the lower limit of the 95 % interval of `sensitivity`."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _one_limit(self) -> "Criterion":
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError(f"{self.metric}: give at_least or at_most, and not both")
        return self

    @property
    def limit(self) -> float:
        """The one that is given."""
        return self.at_least if self.at_least is not None else float(self.at_most or 0)

    def __str__(self) -> str:
        limit = f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"
        return f"{self.metric} {limit}"


@dataclass(frozen=True)
class Criteria:
    """The criteria of a file; all of them have to be met."""

    file: str
    sha256: str  # of the file
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True)
class Answer:
    """A criterion with what was found."""

    criterion: str
    found: float | None  # None if the metric is undefined
    outcome: Outcome
    patients: int | None  # about as many that would decide, if undecided and known


@dataclass(frozen=True)
class Acceptance:
    """The answers to all criteria of a file."""

    file: str
    sha256: str  # of the file
    verdict: Verdict
    answers: tuple[Answer, ...]


def read_criteria(path: Path, classes: tuple[str, ...]) -> Criteria:
    """Read the list `criteria` of a YAML file, for a classifier of these classes.

    Raises:
        CxrError: no such list, an unknown key or metric, a criterion without one limit, or a limit of an interval that
            no metric has.
    """
    document = read_yaml(path)
    entries = document.get("criteria")
    if list(document) != ["criteria"] or not isinstance(entries, list) or not entries:
        raise CxrError(f"{path}: expected a list `criteria` and no other key; docs/predict.md has an example")
    criteria = tuple(parse_section(one, Criterion, f"{path}: criterion {at}") for at, one in enumerate(entries, 1))
    known = (*task_of(classes).metrics, *SHARES)
    for name, stem, bound in ((one.metric, *_split(one.metric)) for one in criteria):
        if stem not in known:
            raise CxrError(f"{path}: no metric {name!r}{did_you_mean(name, known)}")
        if bound and stem in (*SHARES, *NO_INTERVAL):
            raise CxrError(f"{path}: {name}: {stem} has no confidence interval; write {stem}")
    return Criteria(str(path), hashlib.sha256(path.read_bytes()).hexdigest(), criteria)


def decide(criteria: Criteria, metrics: Mapping[str, Any]) -> Acceptance:
    """Hold the metrics of a site's films against the criteria.

    A criterion on a confidence limit is missed only if the whole interval is beyond it: while the interval holds the
    limit, more films can still decide. A criterion on a value is met or missed as it stands.

    Args:
        criteria: of one file.
        metrics: the block of all films of `frozen_metrics`, with the shares of `film_shares`.
    """
    answers = tuple(_answer(one, metrics) for one in criteria.criteria)
    outcomes = {one.outcome for one in answers}
    verdict: Verdict = "accepted"
    if "missed" in outcomes:
        verdict = "rejected"
    elif "undecided" in outcomes:
        verdict = "too few films"
    return Acceptance(criteria.file, criteria.sha256, verdict, answers)


def criteria_text(acceptance: Acceptance) -> str:
    """A table of the criteria, and the verdict below it."""
    rows: Rows = [[one.criterion, _number(one.found), _outcome(one)] for one in acceptance.answers]
    patients = [one.patients for one in acceptance.answers if one.outcome == "undecided"]
    known = [number for number in patients if number is not None]
    more = ""
    if acceptance.verdict == "too few films":
        more = ": no number of patients can be told"
        if len(known) == len(patients):
            more = f": about {max(known)} patients like these would decide"
    return f"{markdown(['criterion', 'found', 'outcome'], rows)}\n\n**{acceptance.verdict}**{more}"


def film_shares(records: Sequence[Record], labels: pd.DataFrame) -> dict[str, float]:
    """The shares of labelled films that have a flag, and of those that were rejected."""
    named = set(labels["film"])
    rows = [record.row for record in records if record.row["film"] in named]
    flagged, rejected = sum(bool(row["flags"]) for row in rows), sum(bool(row["rejected"]) for row in rows)
    return {"flagged": flagged / len(rows), "rejected": rejected / len(rows)}


def _answer(criterion: Criterion, metrics: Mapping[str, Any]) -> Answer:
    stem, bound = _split(criterion.metric)
    found = metrics.get(criterion.metric)
    if found is None:  # undefined: too few films of a class, or too few patients for an interval
        return Answer(str(criterion), None, "undecided", None)
    if _meets(criterion, found):
        return Answer(str(criterion), found, "met", None)
    if not bound or not _meets(criterion, metrics[f"{stem}_{'high' if bound == 'low' else 'low'}"]):
        return Answer(str(criterion), found, "missed", None)
    return Answer(str(criterion), found, "undecided", _deciding(criterion, metrics, stem))


def _split(metric: str) -> tuple[str, str]:
    """The metric, and `low` or `high` if a limit of its interval is meant."""
    stem, _, bound = metric.rpartition("_")
    return (stem, bound) if bound in ("low", "high") else (metric, "")


def _meets(criterion: Criterion, value: float) -> bool:
    return value >= criterion.limit if criterion.at_least is not None else value <= criterion.limit


def _deciding(criterion: Criterion, metrics: Mapping[str, Any], stem: str) -> int | None:
    """About how many patients give an interval without the limit in it, if the metric stays as it is.

    The width of an interval falls with the root of the number of patients.
    """
    value, low, high = (float(metrics[name]) for name in (stem, f"{stem}_low", f"{stem}_high"))
    distance = value - criterion.limit
    reach = value - low if distance > 0 else high - value
    if distance == 0 or reach <= 0:
        return None
    return math.ceil(int(metrics["patients"]) * (reach / distance) ** 2)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def _outcome(answer: Answer) -> str:
    if answer.outcome != "undecided":
        return answer.outcome
    return "undecided" if answer.patients is None else f"undecided; about {answer.patients} patients would decide"
