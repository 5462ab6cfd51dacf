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

SEEDS = "metrics/seeds.json"  # written by `python -m cxr seeds`; figures by their dotted name in metrics.json
LOWER_IS_BETTER = (*LOSSES, "ece")
LEVEL = 0.05


@dataclass(frozen=True)
class Noise:
    """Standard deviation of a figure over training seeds, and the degrees of freedom behind it."""

    sd: float
    freedom: int


@dataclass(frozen=True)
class TrainingNoise:
    """Noise by figure of one split, and where it is known from."""

    figures: dict[str, Noise]
    source: str  # as a sentence goes on: `sd over 5 seeds of main's metrics/seeds.json`


def noise_of_file(text: str, split: str, where: str) -> TrainingNoise:
    """The noise that `metrics/seeds.json` tells for a split; raises CxrError when the text is damaged."""
    try:
        document: dict[str, Any] = json.loads(text)
        seeds, figures = len(document["seeds"]), document["figures"]
        found = {
            name.removeprefix(f"{split}."): Noise(float(facts["sd"]), seeds - 1)
            for name, facts in figures.items()
            if name.startswith(f"{split}.") and facts["sd"] is not None
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CxrError(f"{where}: no readable summary of seeds; run `python -m cxr seeds` again") from error
    return TrainingNoise(found if seeds > 1 else {}, f"sd over {seeds} seeds, {where}")


def noise_of_runs(*sides: dict[str, list[float]]) -> TrainingNoise | None:
    """The noise within sides of several runs each, pooled; None where no side has two.

    Args:
        sides: the figures of each side's runs, by name.
    """
    several = [side for side in sides if len(next(iter(side.values()))) > 1]
    if not several:
        return None
    figures = {}
    for name in several[0]:
        squares = sum(float(np.square(np.subtract(side[name], np.mean(side[name]))).sum()) for side in several)
        freedom = sum(len(side[name]) - 1 for side in several)
        figures[name] = Noise(float(np.sqrt(squares / freedom)), freedom)
    return TrainingNoise(figures, f"sd over the {' and '.join(str(len(next(iter(s.values())))) for s in several)} runs")


def draws(noise: Noise, runs_a: int, runs_b: int, count: int, seed: int) -> Floats:
    """Draws of the difference of two means of runs that training noise alone makes, (count,).

    Student's t stands for the uncertainty of a standard deviation that few seeds gave.
    """
    random = np.random.default_rng(seed)
    return np.asarray(noise.sd * np.sqrt(1 / runs_a + 1 / runs_b) * random.standard_t(noise.freedom, count))


@dataclass(frozen=True)
class Run:
    """What one training left: its predictions, and the operating point that decided them."""

    table: pd.DataFrame
    point: OperatingPoint


@dataclass(frozen=True)
class Difference:
    """One figure of A and of B on the same films, means over runs, and B - A with its 95 % interval.

    The interval is NaN, and `no_interval` says why, where resamples cannot give one. `p` is adjusted where it is not
    the main figure's, and NaN where training noise is unknown.
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
        """`better`, `worse` or `not distinguishable`, for B against A; empty where there is no p-value to judge by."""
        if np.isnan(self.p):
            return ""
        if self.p >= LEVEL or self.b == self.a:
            return "not distinguishable"
        return "better" if (self.b > self.a) != (self.name in LOWER_IS_BETTER) else "worse"


@dataclass(frozen=True)
class Comparison:
    """B against A on the films of one split that all runs scored."""

    split: str
    films: int
    patients: int
    runs: tuple[int, int]  # of A and of B
    only_a: int  # films of A that B lacks
    only_b: int
    identical: bool  # every film has the same scores and the same call in A and B
    same_weights: bool  # one classifier on both sides: only what follows training can differ
    noise: TrainingNoise | None  # None: unknown
    differences: tuple[Difference, ...]  # the main figure first

    @property
    def verdict(self) -> str:
        """On the main figure; or that predictions are identical, or that training noise is unknown."""
        if self.identical:
            return "identical predictions"
        return self.differences[0].verdict or self.differences[0].no_interval or "training noise unknown, so no verdict"


def compare(
    a: Sequence[Run], b: Sequence[Run], split: str, section: EvaluateSection, noise: TrainingNoise | None = None
) -> Comparison:
    """Compare two sides of runs on the films of a split that all hold, each run at its own operating point.

    Args:
        a: runs that differ by nothing but the seed of training; one or more.
        b: the same, with what is tried.
        split: `test` or `val`.
        section: resamples and their seed.
        noise: used where neither side has several runs.

    Raises:
        CxrError: the classes differ, no film is common, or a film's label or patient differs.
    """
    tables = _common([*a, *b], split)
    runs = [ScoredFilms(table, run.point) for table, run in zip(tables, [*a, *b], strict=True)]
    of_a, of_b, table = runs[: len(a)], runs[len(a) :], tables[0]
    same_weights = len({run.point.classifier for run in (*a, *b)}) == 1
    names = task_of(a[0].point.classes).figures
    estimates = [films.point_estimates() for films in runs]
    sides = [
        {name: [one[name] for one in part] for name in names} for part in (estimates[: len(a)], estimates[len(a) :])
    ]
    noise = None if same_weights else noise_of_runs(*sides) or noise
    gap = resampled(_gap(of_a, of_b, names), table["patient_id"].tolist(), section.resamples, section.seed)
    found = []
    for name in names:
        mean_a, mean_b = (float(np.mean(side[name])) for side in sides)
        values = gap[name]
        known = same_weights
        if noise is not None and name in noise.figures:
            known = True
            values = values + draws(noise.figures[name], len(a), len(b), len(values), section.seed)
        found.append(_difference(name, mean_a, mean_b, values, known))
    only_a, only_b = (int((side[0].table["split"] == split).sum()) - len(table) for side in (a, b))
    patients = int(table["patient_id"].nunique())
    return Comparison(
        split, len(table), patients, (len(a), len(b)), only_a, only_b,
        _identical(of_a, of_b), same_weights, noise, _adjusted(found),
    )  # fmt: skip


def _gap(a: list[ScoredFilms], b: list[ScoredFilms], names: tuple[str, ...]) -> Measure:
    """Mean over the runs of B minus that of A, for weighted films."""

    def measure(weights: Floats) -> dict[str, Floats]:
        of_a, of_b = ([films.measure(weights) for films in side] for side in (a, b))
        return {name: _mean(of_b, name) - _mean(of_a, name) for name in names}

    return measure


def _mean(runs: list[dict[str, Floats]], name: str) -> Floats:
    return np.asarray(np.mean([run[name] for run in runs], axis=0))


def _difference(name: str, a: float, b: float, values: Floats, known: bool) -> Difference:
    """`known`: `values` hold all that varies, so that they may judge."""
    if not np.isfinite(b - a):
        return Difference(name, a, b, no_interval="the figure is not defined on these films")
    interval = percentile_interval(values)
    if interval is None:
        return Difference(name, a, b, no_interval="too many resamples of the patients hold one class only")
    if interval[0] == interval[1] != 0:
        return Difference(name, a, b, no_interval="the difference does not vary between resamples of the patients")
    defined = values[np.isfinite(values)]
    tails = [(np.sum(side) + 1) / (len(defined) + 1) for side in (defined <= 0, defined >= 0)]
    return Difference(name, a, b, *interval, min(1.0, 2 * min(tails)) if known else np.nan)


def _adjusted(found: list[Difference]) -> tuple[Difference, ...]:
    """The main figure as it is, the p-values of the others after Holm."""
    main, *others = found
    adjusted = holm({one.name: one.p for one in others if not np.isnan(one.p)})
    return (main, *(replace(one, p=adjusted.get(one.name, np.nan)) for one in others))


def _common(runs: list[Run], split: str) -> list[pd.DataFrame]:
    """The films of a split that every run scored, in one order."""
    first = runs[0].point.classes
    for run in runs:
        if run.point.classes != first:
            raise CxrError(f"classes differ: {'|'.join(first)} and {'|'.join(run.point.classes)}; nothing to compare")
    tables = [run.table[run.table["split"] == split].set_index("image_id", drop=False) for run in runs]
    common = sorted(set.intersection(*(set(table.index) for table in tables)))
    if not common:
        raise CxrError(f"no film of split '{split}' was scored by both; compare revisions of one cohort")
    tables = [table.loc[common].reset_index(drop=True) for table in tables]
    for table in tables[1:]:
        for column in ("label", "patient_id"):
            changed = table.loc[table[column] != tables[0][column], "image_id"]
            if len(changed):
                raise CxrError(f"film {changed.iloc[0]} has another {column} in each; {len(changed)} films differ")
    return tables


def _identical(a: list[ScoredFilms], b: list[ScoredFilms]) -> bool:
    return len(a) == len(b) and all(
        np.array_equal(one.logits, other.logits)
        and np.array_equal(one.probability, other.probability)
        and np.array_equal(one.called, other.called)
        for one, other in zip(a, b, strict=True)
    )
