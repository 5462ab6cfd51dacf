"""Confidence intervals by resampling patients, because films of one patient are not independent.

A resample is a vector of weights: how often each patient was drawn. Every figure is written for weighted films, so
that one pass of array operations gives a figure for all resamples (Efron & Tibshirani 1993, chapter 13: percentiles).
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cxr.evaluate.arrays import Figures, Floats

CELLS = 2_000_000  # weights in memory at a time: 16 MB
MAX_UNDEFINED = 0.05  # share of resamples without a value (one class only) up to which an interval is given


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
    figures: Callable[[Floats], Figures], patients: Sequence[str], resamples: int, seed: int
) -> dict[str, Floats]:
    """Each figure's value in each resample, (resamples,); `figures` maps weights (rows, films) to values (rows,)."""
    blocks = [figures(weights) for weights in patient_weights(patients, resamples, seed)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def percentile_interval(values: Floats, level: float = 0.95) -> tuple[float, float] | None:
    """The central interval of resampled values; None when too many resamples had no value."""
    defined = values[np.isfinite(values)]
    if len(defined) < (1 - MAX_UNDEFINED) * len(values):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
