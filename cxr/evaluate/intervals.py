"""Confidence intervals over patients: Wilson with the jackknife, bootstrap, Holm's correction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

Floats = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Images = np.ndarray[Any, np.dtype[np.uint8]]  # stored films, (films, height, width, 4), the last channel the mask
Metrics = dict[str, Floats]  # values by the metric's name, one for each row of weights
Measure = Callable[[Floats], Metrics]  # weights (rows, films) -> values (rows,) by name
Interval = tuple[float, float]
GROUPS = 1000  # with more patients, this many groups of patients are left out instead
SAME = 1e-12  # a standard error below this counts as zero: no patient changes the metric
CELLS = 2_000_000  # weights in memory at a time: 16 MB
MAX_UNDEFINED = 0.05  # an interval needs a value in all but this share of resamples; those of one class have none


@dataclass(frozen=True)
class Sample:
    """Patients and films behind a metric."""

    patients: int
    films: int


def leave_out_weights(patients: Sequence[str]) -> Floats:
    """Weights (groups, films) that leave out one patient, or one of GROUPS groups of patients, at a time."""
    names, member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    groups = min(len(names), GROUPS)
    shuffled = np.random.default_rng(0).permutation(len(names)) if groups < len(names) else np.arange(len(names))
    weights = np.ones((groups, len(member)))
    weights[shuffled[member] % groups, np.arange(len(member))] = 0
    return weights


def standard_errors(metrics: Measure, patients: Sequence[str]) -> dict[str, float]:
    """Jackknife standard error of each metric; NaN if the metric is undefined without some patient."""
    left_out = metrics(leave_out_weights(patients))
    return {name: standard_error(values) for name, values in left_out.items()}


def standard_error(left_out: Floats) -> float:
    """Jackknife standard error from the values (groups,) of a metric without each group."""
    groups = len(left_out)
    return float(np.sqrt((groups - 1) / groups * np.square(left_out - left_out.mean()).sum())) if groups > 1 else np.nan


def share_interval(share: float, error: float, sample: Sample) -> Interval | None:
    """Wilson's interval of a metric between 0 and 1; None without two patients or a standard error.

    The effective sample size is share (1 - share) / error², at most the number of films. If no patient changes the
    metric, for instance because no film is wrong, it is the number of patients.
    """
    if sample.patients < 2 or not np.isfinite(error):
        return None
    size = float(sample.patients)
    if error > SAME and 0 < share < 1:
        size = min(share * (1 - share) / error**2, float(sample.films))
    z = float(student.ppf(0.975, sample.patients - 1))
    centre, spread = share + z**2 / (2 * size), z * np.sqrt(share * (1 - share) / size + (z / (2 * size)) ** 2)
    low, high = (centre - spread) / (1 + z**2 / size), (centre + spread) / (1 + z**2 / size)
    return (0.0 if share == 0 else float(max(0.0, low)), 1.0 if share == 1 else float(min(1.0, high)))


def signed_interval(value: float, error: float, sample: Sample) -> Interval | None:
    """As `share_interval`, of a metric between -1 and 1."""
    found = share_interval((1 + value) / 2, error / 2, sample)
    return None if found is None else (2 * found[0] - 1, 2 * found[1] - 1)


def ratio_interval(value: float, error: float, sample: Sample) -> Interval | None:
    """Student's interval on the logarithm of a positive metric without an upper bound."""
    if sample.patients < 2 or not error > SAME or value <= 0:
        return None
    spread = float(np.exp(student.ppf(0.975, sample.patients - 1) * error / value))
    return value / spread, value * spread


def plain_interval(value: float, error: float, sample: Sample) -> Interval | None:
    """Student's interval of a metric without bounds."""
    if sample.patients < 2 or not error > SAME:
        return None
    spread = float(student.ppf(0.975, sample.patients - 1) * error)
    return value - spread, value + spread


def likelihood_ratio_interval(a: float, of_a: Interval, b: float, of_b: Interval) -> Interval:
    """Interval of a / b from those of two shares of different patients (Donner & Zou 2012); the top may be infinite."""
    (low_a, high_a), (low_b, high_b), product = of_a, of_b, a * b
    below = np.sqrt(max(0.0, product**2 - low_a * high_b * (2 * a - low_a) * (2 * b - high_b)))
    above = np.sqrt(max(0.0, product**2 - high_a * low_b * (2 * a - high_a) * (2 * b - low_b)))
    divisor, top = product + below, low_b * (2 * b - low_b)  # the lower limit in the form that never divides by 0 / 0
    low = low_a * (2 * a - low_a) / divisor if divisor > 0 else 0.0
    return float(low), float((product + above) / top) if top > 0 else np.inf


def patient_weights(patients: Sequence[str], resamples: int, seed: int) -> Iterator[Floats]:
    """Yield blocks (resamples, films) of how often each film's patient was drawn; blocks add up to `resamples`."""
    names, member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    rng = np.random.default_rng(seed)
    block = max(1, CELLS // max(len(names), len(member)))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=rows)
        yield drawn[:, member].astype(np.float64)


def resampled(
    metrics: Callable[[Floats], Metrics], patients: Sequence[str], resamples: int, seed: int
) -> dict[str, Floats]:
    """Each metric's value in each resample, (resamples,); `metrics` maps weights (rows, films) to values (rows,)."""
    blocks = [metrics(weights) for weights in patient_weights(patients, resamples, seed)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def percentile_interval(values: Floats, level: float = 0.95) -> tuple[float, float] | None:
    """The central interval of resampled values; None if too many resamples have no value."""
    defined = values[np.isfinite(values)]
    if len(defined) < (1 - MAX_UNDEFINED) * len(values):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p-values by name, which control the family-wise error."""
    adjusted, highest = {}, 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = highest
    return {name: adjusted[name] for name in p_values}
