"""The operating point: temperature scaling and the choice of the threshold, on validation films."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from cxr.core.errors import CxrError
from cxr.decision.operating_point import ARGMAX, OperatingPoint, calibrated, sigmoid
from cxr.evaluate.intervals import Floats, Indices, patient_weights, percentile_interval

RANGE = (
    1e-3,
    20.0,
)  # temperatures relative to the largest logit; a fit at the upper edge means that no temperature is best
DIGITS = 6  # of the temperature and of the threshold's interval


@dataclass(frozen=True)
class Temperature:
    """The divisor of the logits, and the reason if it could not be fitted and is 1."""

    value: float
    reason: str = ""


def fit_temperature(logits: Floats, labels: Indices, weights: Floats | None = None) -> Temperature:
    """Temperature that minimises the log loss (Guo et al. 2017).

    Args:
        logits: (films,) for two classes, (films, classes) for more.
        labels: class index of each film.
        weights: of each film in the loss, (films,); equal by default.
    """
    if len(np.unique(labels)) < 2:
        return Temperature(1.0, "validation has films of one class only")

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        if logits.ndim == 1:
            own = np.where(labels == 1, log_expit(scaled), log_expit(-scaled))
        else:
            own = log_softmax(scaled, axis=1)[np.arange(len(labels)), labels]
        return float(-np.mean(own) if weights is None else -np.average(own, weights=weights))

    if bool((_margin(logits, labels) > 0).all()):
        return Temperature(1.0, "validation films are separated without error, so the best temperature is 0")
    low, high = np.log(np.array(RANGE) * (float(np.abs(logits).max()) or 1.0))
    best = float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6}).x)
    if high - best < 0.01:
        return Temperature(1.0, "validation logits do not predict the label, so the best temperature is infinite")
    return Temperature(float(np.exp(best)))


def _margin(logits: Floats, labels: Indices) -> Floats:
    """By how much the logit of each film's own class exceeds that of the next, (films,)."""
    if logits.ndim == 1:
        return np.where(labels == 1, logits, -logits)
    own = np.eye(logits.shape[1], dtype=bool)[labels]
    return np.asarray(logits[own] - np.where(own, -np.inf, logits).max(axis=1))


def choose_threshold(rule: str, positive: Floats, probability: Floats, weights: Floats) -> Floats:
    """The probability at and above which a film is predicted positive, for each row of weights.

    Candidates lie half-way between neighbouring probabilities (in logits), so that no film lies on the threshold. Of
    equally good candidates, the one nearest to 0.5 is chosen.

    Args:
        rule: `youden` (sensitivity + specificity), `f1`, `sensitivity@0.95` (the highest threshold that reaches that
            sensitivity), `fixed` (0.5) or `fixed@0.3`.
        positive: 1 or 0, (films,).
        probability: calibrated, (films,).
        weights: (resamples, films).

    Returns:
        (resamples,); NaN for a row with weight on one class only, unless the rule is `fixed`.

    Raises:
        CxrError: the films are of one class and the rule is not `fixed`.
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
    """Metrics at evenly spaced thresholds: `threshold`, `sensitivity`, `specificity`, `f1`."""
    grid = np.linspace(0, 1, steps)
    predicted = probability[None, :] >= grid[:, None]
    tp, fp = predicted @ positive, predicted @ (1 - positive)
    positives, negatives = positive.sum(), (1 - positive).sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "threshold": grid,
            "sensitivity": tp / positives,
            "specificity": 1 - fp / negatives,
            "f1": 2 * tp / (tp + fp + positives),
        }


def _counts(positive: Floats, probability: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Candidate thresholds (k,), and the weight of true and of false positives at each, (resamples, k)."""
    order = np.argsort(-probability, kind="stable")
    ends = np.flatnonzero(np.r_[np.diff(probability[order]) < 0, True])
    logit = _logit(probability[order][ends])
    # The last digits of a logarithm differ between processors; the threshold keeps only those that do not.
    thresholds = np.r_[sigmoid(np.round((logit[:-1] + logit[1:]) / 2, 9)), 0.0]
    sorted_weights = weights[:, order]
    tp = np.cumsum(sorted_weights * positive[order], axis=1)[:, ends]
    fp = np.cumsum(sorted_weights * (1 - positive[order]), axis=1)[:, ends]
    return thresholds, tp, fp


def _logit(probability: Floats) -> Floats:
    p = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(p) - np.log1p(-p))


def fit_operating_point(
    classifier: str,
    classes: tuple[str, ...],
    logits: Floats,
    labels: Indices,
    patients: list[str],
    rule: str,
    resamples: int,
    seed: int,
) -> OperatingPoint:
    """Fit temperature and threshold on the validation films: logits (films,) or (films, classes), labels (films,).

    Raises:
        CxrError: there are no validation films, or they are of one class and the rule is not `fixed`.
    """
    if len(labels) == 0:
        raise CxrError("data/npz/index.csv: no film with split 'val'; the operating point is fitted on validation only")
    fitted = fit_temperature(logits, labels)
    # Rounded: the search ends within 1e-6 of the optimum, and its last digits differ between processors.
    temperature = round(fitted.value, DIGITS) or fitted.value
    threshold: float | None = None
    interval = None
    if logits.ndim == 1:
        probability, positive = calibrated(logits, temperature), labels.astype(np.float64)
        # Not rounded: it lies between two films' probabilities, which may be closer than any rounding.
        threshold = float(choose_threshold(rule, positive, probability, np.ones((1, len(labels))))[0])
        draws = patient_weights(patients, resamples, seed)
        interval = percentile_interval(
            np.concatenate([choose_threshold(rule, positive, probability, weights) for weights in draws])
        )
        if (
            interval is not None and interval[0] == interval[1]
        ):  # a fixed threshold, or too few patients for an interval
            interval = None
    low, high = (None, None) if interval is None else (round(interval[0], DIGITS), round(interval[1], DIGITS))
    return OperatingPoint(
        classifier, classes, rule if logits.ndim == 1 else ARGMAX, threshold, low, high,
        temperature, fitted.reason, "val", len(labels), len(set(patients)),
    )  # fmt: skip
