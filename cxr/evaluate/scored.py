"""Metrics of rows of the table of predictions as JSON blocks, each with its interval or a reason."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from cxr.decision.operating_point import OperatingPoint
from cxr.evaluate.intervals import (
    Floats,
    Interval,
    Measure,
    Sample,
    ratio_interval,
    share_interval,
    signed_interval,
    standard_errors,
)
from cxr.evaluate.metrics import LOSSES, SIGNED
from cxr.evaluate.table import LOGIT, labels, scores
from cxr.evaluate.task import task_of

Block = dict[str, Any]
DIGITS = 5
NO_INTERVAL = {"ece": "biased upwards in small samples; see ece_if_calibrated"}


class ScoredFilms:
    """Some films of the table with their predictions, from the logits or from another score."""

    def __init__(
        self, table: pd.DataFrame, point: OperatingPoint, score: str = LOGIT, threshold: float | Floats | None = None
    ) -> None:
        """Take the films of a table.

        Args:
            table: rows of the table of predictions.
            point: calibration and threshold.
            score: score of the table to use as the logit.
            threshold: on the probability, instead of the operating point's, for all or for each film; two classes only.
        """
        self.task = task_of(point.classes)
        self.patients = table["patient_id"].tolist()
        self.label = labels(table, point.classes)
        self.logits = scores(table, score, point.classes)
        self.probability = point.probability(self.logits)
        self.predicted = point.decide(self.probability)
        if threshold is not None:
            self.predicted = (self.probability >= threshold).astype(np.int64)
        self.measure: Measure = self.task.measure(self.label, self.logits, self.probability, self.predicted)

    def point_estimates(self) -> dict[str, float]:
        """All metrics of the films as they are."""
        return {name: float(value[0]) for name, value in self.measure(np.ones((1, len(self.label)))).items()}

    def sample(self, metric: str) -> Sample:
        """The patients and films in the denominator of a metric."""
        counted = self.task.counted(metric, self.label, self.predicted)
        return Sample(len({patient for patient, one in zip(self.patients, counted, strict=True) if one}), counted.sum())

    def why_undefined(self, metric: str) -> str:
        """Why a metric has no value."""
        return self.task.why_undefined(metric, self.label, self.predicted)

    def with_intervals(self, names: tuple[str, ...]) -> Block:
        """Each named metric as `name`, `name_low`, `name_high`; null with `name_reason` if it is undefined."""
        values, errors = self.point_estimates(), standard_errors(self.measure, self.patients)
        block: Block = {}
        for name in names:
            if not np.isfinite(values[name]):
                block |= {name: None, f"{name}_reason": self.why_undefined(name)}
                continue
            block[name] = rounded(values[name])
            block |= interval_entries(name, self.interval(name, values[name], errors[name]))
        return block

    def interval(self, name: str, value: float, error: float) -> Interval | None:
        """The 95 % interval of a metric; None if there is none."""
        if name in NO_INTERVAL:
            return None
        kind = ratio_interval if name in LOSSES else signed_interval if name in SIGNED else share_interval
        return kind(value, error, self.sample(name))


def interval_entries(name: str, interval: Interval | None) -> Block:
    """`name_low` and `name_high`, or nulls with `name_interval_reason`."""
    if interval is None:
        reason = NO_INTERVAL.get(name, "too few patients: without one of them the metric is undefined")
        return {f"{name}_low": None, f"{name}_high": None, f"{name}_interval_reason": reason}
    return {f"{name}_low": rounded(interval[0]), f"{name}_high": rounded(interval[1])}


def with_reasons(values: dict[str, float], names: tuple[str, ...], why: Callable[[str], str]) -> Block:
    """Metrics without intervals, each null with `name_reason` if it is undefined."""
    block: Block = {}
    for name in names:
        block[name] = rounded(values[name])
        if block[name] is None:
            block[f"{name}_reason"] = why(name)
    return block


def rounded(value: float) -> float | None:
    """A metric as written: five decimals; None for NaN and infinity."""
    return round(float(value), DIGITS) if np.isfinite(value) else None
