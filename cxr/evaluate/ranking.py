"""AUROC and average precision for weighted films: all resamples in one pass over films sorted once."""

import numpy as np

from cxr.evaluate.arrays import Floats


def weighted_auroc(positive: Floats, score: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve; ties count one half (Mann & Whitney 1947).

    Args:
        positive: 1 or 0 for each film.
        score: any score that rises with suspicion, (films,).
        weights: (resamples, films).

    Returns:
        (resamples,); NaN where only one class has weight.
    """
    with_finding, without = _by_score(positive, score, weights)
    below = np.cumsum(without, axis=1) - without / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((with_finding * below).sum(axis=1) / (with_finding.sum(axis=1) * without.sum(axis=1)))


def weighted_auprc(positive: Floats, score: Floats, weights: Floats) -> Floats:
    """Average precision: precision at each threshold weighted by the recall that it adds; as `weighted_auroc`."""
    with_finding, without = (counts[:, ::-1] for counts in _by_score(positive, score, weights))
    hits, calls = np.cumsum(with_finding, axis=1), np.cumsum(with_finding + without, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(calls > 0, hits / calls, 0.0)
        total = with_finding.sum(axis=1)
        return np.where(without.sum(axis=1) > 0, (with_finding * precision).sum(axis=1) / total, np.nan)


def _by_score(positive: Floats, score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weight of positive and of negative films at each distinct score, ascending: two of (resamples, scores)."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    sorted_weights, found = weights[:, order], positive[order]
    return (
        np.add.reduceat(sorted_weights * found, starts, axis=1),
        np.add.reduceat(sorted_weights * (1 - found), starts, axis=1),
    )
