"""DeLong's variance of the AUROC, for one classifier and for the difference of two on the same films.

Sun & Xu 2014, "Fast implementation of DeLong's algorithm": the structural components come from mid-ranks, in
O(n log n). It takes films as independent; with several films a patient the bootstrap over patients is the one to trust.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from cxr.core.errors import CxrError
from cxr.evaluate.arrays import Floats

Z95 = float(norm.ppf(0.975))


@dataclass(frozen=True)
class DeLong:
    """A difference of two AUROCs, its 95 % interval and the two-sided p-value of no difference."""

    difference: float
    standard_error: float
    low: float
    high: float
    p_value: float


def auroc_covariance(positive: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """AUROC of several scores of the same films, and their covariance.

    Args:
        positive: 1 or 0, (films,).
        scores: (classifiers, films).

    Returns:
        (classifiers,) and (classifiers, classifiers).

    Raises:
        CxrError: fewer than two films of a class.
    """
    found = positive == 1
    m, n = int(found.sum()), int((~found).sum())
    if m < 2 or n < 2:
        raise CxrError(f"DeLong's variance needs two films of each class; got {m} positive and {n} negative")
    pooled = np.stack([rankdata(row) for row in scores])
    among_positive = np.stack([rankdata(row[found]) for row in scores])
    among_negative = np.stack([rankdata(row[~found]) for row in scores])
    v_positive = (pooled[:, found] - among_positive) / n
    v_negative = 1 - (pooled[:, ~found] - among_negative) / m
    covariance = np.atleast_2d(np.cov(v_positive)) / m + np.atleast_2d(np.cov(v_negative)) / n
    return v_positive.mean(axis=1), covariance


def delong_difference(positive: Floats, score_a: Floats, score_b: Floats) -> DeLong:
    """AUROC of `score_b` minus that of `score_a` on the same films, each (films,)."""
    auroc, covariance = auroc_covariance(positive, np.stack([score_a, score_b]))
    difference = float(auroc[1] - auroc[0])
    error = float(np.sqrt(max(0.0, covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])))
    p_value = float(2 * norm.sf(abs(difference) / error)) if error > 0 else 1.0
    return DeLong(difference, error, difference - Z95 * error, difference + Z95 * error, p_value)
