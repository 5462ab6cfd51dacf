"""Do probabilities mean what they say: temperature scaling, calibration error, the reliability table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from cxr.evaluate.arrays import Floats, Indices

BINS = 15
RANGE = (1e-3, 20.0)  # temperatures over the largest logit; a fit at the upper edge says that the sample cannot tell


@dataclass(frozen=True)
class Temperature:
    """The divisor of the logits, and why it is 1 when it could not be fitted."""

    value: float
    reason: str = ""


def fit_temperature(logits: Floats, labels: Indices) -> Temperature:
    """Temperature that minimises the log loss (Guo et al. 2017).

    Args:
        logits: (films,) for two classes, (films, classes) for more.
        labels: class index of each film.
    """
    if len(np.unique(labels)) < 2:
        return Temperature(1.0, "validation has films of one class only")

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        if logits.ndim == 1:
            return float(-np.mean(np.where(labels == 1, log_expit(scaled), log_expit(-scaled))))
        return float(-np.mean(log_softmax(scaled, axis=1)[np.arange(len(labels)), labels]))

    if bool((_margin(logits, labels) > 0).all()):
        return Temperature(1.0, "validation is separated without error, so its best temperature is 0")
    low, high = np.log(np.array(RANGE) * (float(np.abs(logits).max()) or 1.0))
    best = float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)
    if high - best < 0.01:
        return Temperature(1.0, "validation logits say nothing about the label, so its best temperature is infinite")
    return Temperature(float(np.exp(best)))


def _margin(logits: Floats, labels: Indices) -> Floats:
    """By how much the logit of each film's own class exceeds that of the next, (films,)."""
    if logits.ndim == 1:
        return np.where(labels == 1, logits, -logits)
    own = np.eye(logits.shape[1], dtype=bool)[labels]
    return np.asarray(logits[own] - np.where(own, -np.inf, logits).max(axis=1))


def expected_calibration_error(positive: Floats, probability: Floats, weights: Floats, bins: int = BINS) -> Floats:
    """Mean gap between mean probability and observed share over equal-width bins, weighted by films (Naeini 2015)."""
    gap = weights @ (bin_members(probability, bins) * (probability - positive)[:, None])
    return np.asarray(np.abs(gap).sum(axis=1) / weights.sum(axis=1))


def bin_members(probability: Floats, bins: int = BINS) -> Floats:
    """Which of the equal-width bins each probability falls into, (films, bins) of 1 or 0."""
    return one_hot(np.minimum((probability * bins).astype(int), bins - 1), bins)


def one_hot(index: Indices, size: int) -> Floats:
    """(films, size) with a 1 at each film's index."""
    return np.asarray(np.eye(size)[index])


def reliability_table(positive: Floats, probability: Floats, bins: int = 10) -> pd.DataFrame:
    """Mean probability, observed share and films of each bin that holds films."""
    member = np.minimum((probability * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": member, "predicted": probability, "observed": positive})
    grouped = table.groupby("bin").agg(
        predicted=("predicted", "mean"), observed=("observed", "mean"), films=("observed", "size")
    )
    return grouped.reset_index(drop=True)
