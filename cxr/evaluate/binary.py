"""Figures of a two-class classifier, for weighted films."""

from dataclasses import dataclass

import numpy as np

from cxr.evaluate.arrays import Bools, Figures, Floats, Indices
from cxr.evaluate.calibration import expected_calibration_error
from cxr.evaluate.ranking import weighted_auprc, weighted_auroc

FIGURES = (
    "auroc", "auprc", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "npv", "f1", "youden",
    "mcc", "brier", "ece", "log_loss",
)  # fmt: skip
SIGNED = ("youden", "mcc")
LOSSES = ("brier", "log_loss")
TINY = 1e-15


@dataclass(frozen=True)
class Scored:
    """Films with a reference label and what the classifier said, each (films,)."""

    positive: Floats  # 1 or 0
    score: Floats  # rises with suspicion; only its order matters
    probability: Floats  # of the positive class, calibrated
    decision: Floats  # 1 or 0 at the operating point


def binary_figures(films: Scored, weights: Floats) -> Figures:
    """All figures for each row of weights; NaN where a figure is not defined.

    Args:
        films: labels and scores.
        weights: (resamples, films); a row of ones gives the plain figures.

    Returns:
        Arrays (resamples,) by name: those of FIGURES and the counts tp, fp, fn, tn.
    """
    figures = decision_figures(films.positive, films.decision, weights)
    total = weights.sum(axis=1)
    p = np.clip(films.probability, TINY, 1 - TINY)
    loss = -np.where(films.positive == 1, np.log(p), np.log1p(-p))
    figures["auroc"] = weighted_auroc(films.positive, films.score, weights)
    figures["auprc"] = weighted_auprc(films.positive, films.score, weights)
    figures["brier"] = weights @ np.square(films.probability - films.positive) / total
    figures["log_loss"] = weights @ loss / total
    figures["ece"] = expected_calibration_error(films.positive, films.probability, weights)
    return figures


def decision_figures(positive: Floats, decision: Floats, weights: Floats) -> Figures:
    """Figures of the 2x2 table; as `binary_figures`."""
    tp = weights @ (positive * decision)
    fp = weights @ ((1 - positive) * decision)
    fn = weights @ (positive * (1 - decision))
    tn = weights @ ((1 - positive) * (1 - decision))
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
        figures = {
            "accuracy": (tp + tn) / (tp + fp + fn + tn),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "precision": tp / (tp + fp),
            "npv": tn / (tn + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
            "youden": sensitivity + specificity - 1,
            "mcc": (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)),
        }
    return figures | {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def counted(figure: str, label: Indices, called: Indices) -> Bools:
    """The films in the denominator of a figure."""
    chosen = {
        "sensitivity": label == 1,
        "specificity": label == 0,
        "precision": called == 1,
        "npv": called == 0,
        "f1": (label == 1) | (called == 1),
    }
    return np.asarray(chosen.get(figure, np.ones(len(label), bool)))


def why_undefined(figure: str, label: Indices, called: Indices) -> str:
    """Why a figure of the plain sample has no value."""
    if not (label == 1).any() and figure not in ("specificity", "precision", "npv"):
        return "no film of the positive class"
    if not (label == 0).any() and figure not in ("sensitivity", "precision", "npv"):
        return "no film of the negative class"
    return f"no film is called {'positive' if not called.any() else 'negative'}"
