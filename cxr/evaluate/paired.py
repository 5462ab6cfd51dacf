"""Two classifiers on the same films: the difference of every figure, resampled over the same patients."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.errors import CxrError
from cxr.evaluate.arrays import Floats
from cxr.evaluate.bootstrap import percentile_interval, resampled
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.delong import DeLong, delong_difference
from cxr.evaluate.operating_point import OperatingPoint
from cxr.evaluate.predictions import LOGIT, labels, scores
from cxr.evaluate.summary import Measure, headline, measure, plain

LOWER_IS_BETTER = ("brier", "ece", "log_loss")


@dataclass(frozen=True)
class Difference:
    """One figure of A and of B on the same films, and B - A with its 95 % interval over patients.

    The interval is NaN, and `no_interval` says why, where resamples cannot give one.
    """

    name: str
    a: float
    b: float
    low: float
    high: float
    no_interval: str = ""

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `not distinguishable`, for B against A."""
        if not np.isfinite([self.low, self.high]).all() or self.low <= 0 <= self.high:
            return "not distinguishable"
        return "better" if (self.low > 0) != (self.name in LOWER_IS_BETTER) else "worse"


@dataclass(frozen=True)
class Comparison:
    """B against A on the films of one split that both scored."""

    split: str
    films: int
    patients: int
    only_a: int  # films of A that B lacks
    only_b: int
    differences: tuple[Difference, ...]
    delong: DeLong | None  # of the AUROC; two classes only


def differences(
    a: Measure, b: Measure, table: pd.DataFrame, names: tuple[str, ...], section: EvaluateSection
) -> tuple[Difference, ...]:
    """B - A of each named figure; `a` and `b` measure the films of `table`, in its order."""
    of_a, of_b = plain(a, len(table)), plain(b, len(table))

    def gap(weights: Any) -> Any:
        values_a, values_b = a(weights), b(weights)
        return {name: values_b[name] - values_a[name] for name in names}

    draws = resampled(gap, table["patient_id"].tolist(), section.resamples, section.seed)
    found = []
    for name in names:
        found.append(_difference(name, of_a[name], of_b[name], draws[name]))
    return tuple(found)


def _difference(name: str, a: float, b: float, draws: Floats) -> Difference:
    interval, reason = percentile_interval(draws), ""
    if not np.isfinite(b - a):
        interval, reason = None, "the figure is not defined on these films"
    elif interval is None:
        reason = "too many resamples of the patients hold one class only"
    elif interval[0] == interval[1] != 0:
        interval, reason = None, "the difference does not vary between resamples of the patients"
    low, high = interval or (np.nan, np.nan)
    return Difference(name, a, b, low, high, reason)


def compare(
    table_a: pd.DataFrame,
    point_a: OperatingPoint,
    table_b: pd.DataFrame,
    point_b: OperatingPoint,
    split: str,
    section: EvaluateSection,
) -> Comparison:
    """Compare two tables of predictions on the films of a split that both hold, each at its own operating point.

    Raises:
        CxrError: the classes differ, no film is common, or a film's label or patient differs.
    """
    if point_a.classes != point_b.classes:
        raise CxrError(
            f"classes differ: {'|'.join(point_a.classes)} and {'|'.join(point_b.classes)}; nothing to compare"
        )
    a = table_a[table_a["split"] == split].set_index("image_id", drop=False)
    b = table_b[table_b["split"] == split].set_index("image_id", drop=False)
    common = sorted(set(a.index) & set(b.index))
    if not common:
        raise CxrError(f"no film of split '{split}' was scored by both; compare revisions of one cohort")
    a, b = a.loc[common].reset_index(drop=True), b.loc[common].reset_index(drop=True)
    for column in ("label", "patient_id"):
        changed = a.loc[a[column] != b[column], "image_id"]
        if len(changed):
            raise CxrError(f"film {changed.iloc[0]} has another {column} in each; {len(changed)} films differ")
    classes = point_a.classes
    found = differences(measure(a, point_a), measure(b, point_b), a, headline(classes), section)
    label = labels(a, classes)
    delong = None
    if len(classes) == 2 and min((label == 0).sum(), (label == 1).sum()) >= 2:
        delong = delong_difference(label.astype(np.float64), scores(a, LOGIT, classes), scores(b, LOGIT, classes))
    only_a, only_b = (len(table[table["split"] == split]) - len(common) for table in (table_a, table_b))
    return Comparison(split, len(common), int(a["patient_id"].nunique()), only_a, only_b, found, delong)
