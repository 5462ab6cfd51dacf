"""How far a film lies from the training films, in the space of the classifier's pooled features.

The distance is Mahalanobis' under the covariance of probabilistic PCA (Tipping & Bishop 1999): the leading directions
with their own variances, all others with one. It needs no label, and few numbers a bundle must carry. Pooled features
are never far below zero and have long tails, within which a strange film can hide; so each one is replaced by its
signed square root first (Perronnin, Sánchez & Mensink 2010). docs/predict.md has the rates.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
SPACE = "signed square root"  # of the features; a bundle names it, so that distances are not taken in another one
DIRECTIONS = 64  # at most; a quarter of the films where there are fewer


@dataclass(frozen=True)
class Familiarity:
    """The roots of the training films' features, as a mean and a covariance."""

    mean: Array  # (channels,)
    directions: Array  # (k, channels), orthonormal
    variances: Array  # (k,)
    rest: float  # variance in each other direction

    def distance(self, features: Array) -> Floats:
        """Distance of each film, (films,), from its features (films, channels): about 1 for a training film."""
        centred = signed_root(features) - self.mean
        along = centred @ self.directions.T.astype(np.float64)
        beside = np.maximum(np.square(centred).sum(axis=1) - np.square(along).sum(axis=1), 0)
        squared = (np.square(along) / self.variances).sum(axis=1) + beside / self.rest
        return np.asarray(np.sqrt(squared / len(self.mean)))


def signed_root(features: Array) -> Floats:
    """The square root of each feature's size, with its sign."""
    values = features.astype(np.float64)
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def fit_familiarity(features: Array) -> Familiarity:
    """Mean and covariance of the features (films, channels) of at least two films."""
    films, channels = features.shape
    roots = signed_root(features)
    mean = roots.mean(axis=0)
    _, spread, directions = np.linalg.svd(roots - mean, full_matrices=False)
    variances = np.square(spread) / max(films - 1, 1)
    kept = max(1, min(DIRECTIONS, films // 4, channels - 1))
    left = channels - kept
    floor = 1e-6 * float(variances[0]) + 1e-12  # channels that never fire would make every film infinitely far
    rest = max(float(variances[kept:].sum()) / left, floor)
    return Familiarity(
        mean.astype(np.float32),
        directions[:kept].astype(np.float32),
        np.maximum(variances[:kept], rest).astype(np.float32),
        rest,
    )
