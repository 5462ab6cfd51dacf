"""Comparison of two results: paired differences over patients, and training noise over seeds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.errors import CxrError
from cxr.decision.operating_point import OperatingPoint
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.intervals import Floats, Measure, holm, percentile_interval, resampled
from cxr.evaluate.metrics import LOSSES
from cxr.evaluate.scored import ScoredFilms
from cxr.evaluate.task import task_of

SEEDS = "metrics/seeds.json"  # written by `python -m cxr seeds`; metrics by their dotted name in metrics.json
LOWER_IS_BETTER = (*LOSSES, "ece")
LEVEL = 0.05  # of significance
NO_DIFFERENCE = "no difference shown"


@dataclass(frozen=True)
class Noise:
    """Standard deviation of a metric over training seeds, with its degrees of freedom."""

    sd: float
    freedom: int


@dataclass(frozen=True)
class TrainingNoise:
    """Training noise of the metrics of one split, and its source."""

    metrics: dict[str, Noise]
    source: str  # such as `sd over 5 seeds, main: metrics/seeds.json`


def noise_of_file(text: str, split: str, where: str) -> TrainingNoise:
    """The training noise of a split in `metrics/seeds.json`; raises CxrError when the text is damaged."""
    try:
        document: dict[str, Any] = json.loads(text)
        seeds, metrics = len(document["seeds"]), document["figures"]
        found = {
            name.removeprefix(f"{split}."): Noise(float(facts["sd"]), seeds - 1)
            for name, facts in metrics.items()
            if name.startswith(f"{split}.") and facts["sd"] is not None
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CxrError(f"{where}: not readable; run `python -m cxr seeds` again") from error
    return TrainingNoise(found if seeds > 1 else {}, f"sd over {seeds} seeds, {where}")


def noise_of_runs(*runs: dict[str, list[float]]) -> TrainingNoise | None:
    """Training noise pooled over A and B; None where neither has several runs.

    Args:
        runs: for A and for B the metrics of all runs, by name.
    """
    several = [one for one in runs if len(next(iter(one.values()))) > 1]
    if not several:
        return None
    metrics = {}
    for name in several[0]:
        squares = sum(float(np.square(np.subtract(one[name], np.mean(one[name]))).sum()) for one in several)
        freedom = sum(len(one[name]) - 1 for one in several)
        metrics[name] = Noise(float(np.sqrt(squares / freedom)), freedom)
    return TrainingNoise(
        metrics, f"sd over the {' and '.join(str(len(next(iter(one.values())))) for one in several)} runs"
    )


def draws(noise: Noise, runs_a: int, runs_b: int, count: int, seed: int) -> Floats:
    """Random differences of two means of runs under training noise alone, (count,).

    Student's t accounts for the uncertainty of a standard deviation from few seeds.
    """
    random = np.random.default_rng(seed)
    return np.asarray(noise.sd * np.sqrt(1 / runs_a + 1 / runs_b) * random.standard_t(noise.freedom, count))


@dataclass(frozen=True)
class Run:
    """The results of one training: predictions and operating point."""

    table: pd.DataFrame
    point: OperatingPoint


@dataclass(frozen=True)
class Difference:
    """One metric of A and of B on the same films, as means over runs, and the 95 % CI of B - A.

    The CI is NaN where resamples give none; `no_interval` is the reason. `p` is adjusted for all but the main metric,
    and NaN where training noise is unknown.
    """

    name: str
    a: float
    b: float
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    no_interval: str = ""

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `no difference shown`, for B against A; empty without a p-value."""
        if np.isnan(self.p):
            return ""
        if self.p >= LEVEL or self.b == self.a:
            return NO_DIFFERENCE
        return "better" if (self.b > self.a) != (self.name in LOWER_IS_BETTER) else "worse"


@dataclass(frozen=True)
class Comparison:
    """B against A on the films of one split that all runs have scored."""

    split: str
    films: int
    patients: int
    runs: tuple[int, int]  # of A and of B
    only_a: int  # films of A that B lacks
    only_b: int
    identical: bool  # every film has the same scores and the same prediction in A and B
    same_weights: bool  # one classifier in A and B, so there is no training noise
    noise: TrainingNoise | None  # None: unknown
    differences: tuple[Difference, ...]  # the main metric first

    @property
    def verdict(self) -> str:
        """The verdict on the main metric, or the reason why there is none."""
        if self.identical:
            return "identical predictions"
        return self.differences[0].verdict or self.differences[0].no_interval or "training noise unknown, so no verdict"


def compare(
    a: Sequence[Run], b: Sequence[Run], split: str, section: EvaluateSection, noise: TrainingNoise | None = None
) -> Comparison:
    """Compare two groups of runs on their common films of a split, each run at its own operating point.

    Args:
        a: one run, or several that differ by their training seed alone.
        b: the same for the proposed change.
        split: `test` or `val`.
        section: resamples and their seed.
        noise: training noise, used where neither group has several runs.

    Raises:
        CxrError: the classes differ, no film is common, or a film's label or patient differs.
    """
    tables = _common([*a, *b], split)
    runs = [ScoredFilms(table, run.point) for table, run in zip(tables, [*a, *b], strict=True)]
    of_a, of_b, table = runs[: len(a)], runs[len(a) :], tables[0]
    same_weights = len({run.point.classifier for run in (*a, *b)}) == 1
    names = task_of(a[0].point.classes).metrics
    estimates = [films.point_estimates() for films in runs]
    runs_of = [
        {name: [one[name] for one in part] for name in names} for part in (estimates[: len(a)], estimates[len(a) :])
    ]
    noise = None if same_weights else noise_of_runs(*runs_of) or noise
    gap = resampled(_gap(of_a, of_b, names), table["patient_id"].tolist(), section.resamples, section.seed)
    found = []
    for name in names:
        mean_a, mean_b = (float(np.mean(one[name])) for one in runs_of)
        values = gap[name]
        known = same_weights
        if noise is not None and name in noise.metrics:
            known = True
            values = values + draws(noise.metrics[name], len(a), len(b), len(values), section.seed)
        found.append(_difference(name, mean_a, mean_b, values, known))
    only_a, only_b = (int((group[0].table["split"] == split).sum()) - len(table) for group in (a, b))
    patients = int(table["patient_id"].nunique())
    return Comparison(
        split, len(table), patients, (len(a), len(b)), only_a, only_b,
        _identical(of_a, of_b), same_weights, noise, _adjusted(found),
    )  # fmt: skip


def _gap(a: list[ScoredFilms], b: list[ScoredFilms], names: tuple[str, ...]) -> Measure:
    """The function from film weights to the mean metric of B minus that of A."""

    def measure(weights: Floats) -> dict[str, Floats]:
        of_a, of_b = ([films.measure(weights) for films in group] for group in (a, b))
        return {name: _mean(of_b, name) - _mean(of_a, name) for name in names}

    return measure


def _mean(runs: list[dict[str, Floats]], name: str) -> Floats:
    return np.asarray(np.mean([run[name] for run in runs], axis=0))


def _difference(name: str, a: float, b: float, values: Floats, known: bool) -> Difference:
    """The CI of a metric's difference, and its p-value where `values` include training noise (`known`)."""
    if not np.isfinite(b - a):
        return Difference(name, a, b, no_interval="the metric is not defined on these films")
    interval = percentile_interval(values)
    if interval is None:
        return Difference(name, a, b, no_interval="too many resamples of the patients hold one class only")
    if interval[0] == interval[1] != 0:
        return Difference(name, a, b, no_interval="the difference does not vary between resamples of the patients")
    defined = values[np.isfinite(values)]
    tails = [(np.sum(tail) + 1) / (len(defined) + 1) for tail in (defined <= 0, defined >= 0)]
    return Difference(name, a, b, *interval, min(1.0, 2 * min(tails)) if known else np.nan)


def _adjusted(found: list[Difference]) -> tuple[Difference, ...]:
    """The main metric unchanged, the p-values of the others adjusted (Holm)."""
    main, *others = found
    adjusted = holm({one.name: one.p for one in others if not np.isnan(one.p)})
    return (main, *(replace(one, p=adjusted.get(one.name, np.nan)) for one in others))


def _common(runs: list[Run], split: str) -> list[pd.DataFrame]:
    """The films of a split that every run has scored, in one order."""
    first = runs[0].point.classes
    for run in runs:
        if run.point.classes != first:
            raise CxrError(
                f"classes differ: {'|'.join(first)} and {'|'.join(run.point.classes)}; compare runs of one cohort"
            )
    tables = [run.table[run.table["split"] == split].set_index("image_id", drop=False) for run in runs]
    common = sorted(set.intersection(*(set(table.index) for table in tables)))
    if not common:
        raise CxrError(f"no common film in split '{split}'; compare revisions of one cohort")
    tables = [table.loc[common].reset_index(drop=True) for table in tables]
    for table in tables[1:]:
        for column in ("label", "patient_id"):
            changed = table.loc[table[column] != tables[0][column], "image_id"]
            if len(changed):
                raise CxrError(
                    f"{column} differs for {len(changed)} films, such as {changed.iloc[0]}; compare runs of one cohort"
                )
    return tables


def _identical(a: list[ScoredFilms], b: list[ScoredFilms]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(one.logits, other.logits)
        and np.array_equal(one.probability, other.probability)
        and np.array_equal(one.predicted, other.predicted)
        for one, other in zip(a, b, strict=True)
    )
