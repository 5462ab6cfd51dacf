"""The decision threshold, chosen on validation films only."""

import numpy as np

from cxr.core.errors import CxrError
from cxr.evaluate.arrays import Floats
from cxr.evaluate.operating_point import sigmoid


def choose_threshold(rule: str, positive: Floats, probability: Floats, weights: Floats) -> Floats:
    """The probability at and above which a film is called positive, for each row of weights.

    Candidates lie half-way between neighbouring probabilities (in logits), so that the choice does not sit on one
    film. Among equally good ones the candidate nearest to 0.5 wins.

    Args:
        rule: `youden` (sensitivity + specificity), `f1`, `sensitivity@0.95` (the highest threshold that reaches that
            sensitivity), `fixed` (0.5) or `fixed@0.3`.
        positive: 1 or 0, (films,).
        probability: calibrated, (films,).
        weights: (resamples, films).

    Returns:
        (resamples,), NaN for a row whose weights leave a class out, unless the rule is `fixed`.

    Raises:
        CxrError: the films are of one class, so that no rule but `fixed` can choose.
    """
    name, _, value = rule.partition("@")
    if name == "fixed":
        return np.full(len(weights), float(value or 0.5))
    if len(np.unique(positive)) < 2:
        raise CxrError(
            f"evaluate.threshold: {rule} needs validation films of both classes, and all {len(positive)} are of one; "
            "add films to the validation split or use `fixed`"
        )
    thresholds, tp, fp = _counts(positive, probability, weights)
    positives, negatives = weights @ positive, weights @ (1 - positive)
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, false_rate = tp / positives[:, None], fp / negatives[:, None]
        if name == "youden":
            merit = sensitivity - false_rate
        elif name == "f1":
            merit = 2 * tp / (tp + fp + positives[:, None])
        else:
            merit = np.where(sensitivity >= float(value) - 1e-12, -false_rate, -np.inf)
    merit = np.where(np.isnan(merit), -np.inf, merit) - 1e-9 * np.abs(thresholds - 0.5)
    return np.where((positives > 0) & (negatives > 0), thresholds[np.argmax(merit, axis=1)], np.nan)


def threshold_table(positive: Floats, probability: Floats, steps: int = 101) -> dict[str, Floats]:
    """Figures at evenly spaced thresholds: `threshold`, `sensitivity`, `specificity`, `f1`."""
    grid = np.linspace(0, 1, steps)
    called = probability[None, :] >= grid[:, None]
    tp, fp = called @ positive, called @ (1 - positive)
    positives, negatives = positive.sum(), (1 - positive).sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "threshold": grid,
            "sensitivity": tp / positives,
            "specificity": 1 - fp / negatives,
            "f1": 2 * tp / (tp + fp + positives),
        }


def _counts(positive: Floats, probability: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Candidate thresholds and the weight of true and false calls at each: (k,), (resamples, k), (resamples, k)."""
    order = np.argsort(-probability, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(probability[order]) < 0, True])
    logit = _logit(probability[order][ends])
    # The last digits of a logarithm differ between processors, so that the threshold is kept to those that do not.
    thresholds = np.r_[sigmoid(np.round((logit[:-1] + logit[1:]) / 2, 9)), 0.0]
    sorted_weights = weights[:, order]
    tp = np.cumsum(sorted_weights * positive[order], axis=1)[:, ends]
    fp = np.cumsum(sorted_weights * (1 - positive[order]), axis=1)[:, ends]
    return thresholds, tp, fp


def _logit(probability: Floats) -> Floats:
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(p) - np.log1p(-p))
