"""95 % intervals of figures over patients, because films of one patient are not independent.

The standard error comes from leaving out one patient after another (jackknife, Efron & Tibshirani 1993, chapter 11).
It says how many independent films the sample is worth, and Wilson's score interval is taken at that size (Kott & Carr
1997; Dean & Pagano 2015), with Student's t for few patients. Unlike percentiles of a bootstrap it keeps its coverage
near 1, and it exists where no film is wrong. Losses have no upper bound: their interval is Student's on the logarithm.
`python -m benchmarks.coverage` simulates how often these intervals hold the truth; docs/evaluation.md has the table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from cxr.evaluate.arrays import Figures, Floats

Measure = Callable[[Floats], Figures]  # weights (rows, films) -> values (rows,) by name
Interval = tuple[float, float]
GROUPS = 1000  # with more patients, that many groups of patients are left out instead
SAME = 1e-12  # a standard error below this is none: no patient changes the figure


@dataclass(frozen=True)
class Sample:
    """How much a figure rests on."""

    patients: int
    films: int


def leave_out_weights(patients: Sequence[str]) -> Floats:
    """Weights (groups, films) that leave out one patient after another, or one of GROUPS groups of patients."""
    names, member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    groups = min(len(names), GROUPS)
    shuffled = np.random.default_rng(0).permutation(len(names)) if groups < len(names) else np.arange(len(names))
    weights = np.ones((groups, len(member)))
    weights[shuffled[member] % groups, np.arange(len(member))] = 0
    return weights


def standard_errors(figures: Measure, patients: Sequence[str]) -> dict[str, float]:
    """Jackknife standard error of each figure; NaN where leaving someone out leaves the figure undefined."""
    left_out = figures(leave_out_weights(patients))
    return {name: standard_error(values) for name, values in left_out.items()}


def standard_error(left_out: Floats) -> float:
    """Of the values (groups,) that a figure takes without each group."""
    groups = len(left_out)
    return float(np.sqrt((groups - 1) / groups * np.square(left_out - left_out.mean()).sum())) if groups > 1 else np.nan


def share_interval(share: float, error: float, sample: Sample) -> Interval | None:
    """Wilson's interval of a figure between 0 and 1; None without two patients or a standard error.

    The sample is worth share (1 - share) / error² films, and never more than its films. Where no patient changes the
    figure, as when no film is wrong, it is worth its patients.
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
    """As `share_interval`, of a figure between -1 and 1."""
    found = share_interval((1 + value) / 2, error / 2, sample)
    return None if found is None else (2 * found[0] - 1, 2 * found[1] - 1)


def ratio_interval(value: float, error: float, sample: Sample) -> Interval | None:
    """Student's interval on the logarithm, of a positive figure without an upper bound."""
    if sample.patients < 2 or not error > SAME or value <= 0:
        return None
    spread = float(np.exp(student.ppf(0.975, sample.patients - 1) * error / value))
    return value / spread, value * spread


def plain_interval(value: float, error: float, sample: Sample) -> Interval | None:
    """Student's interval of a figure without bounds."""
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
