"""Figures of a two-class classifier, for weighted films."""

from dataclasses import dataclass

import numpy as np

from cxr.evaluate.arrays import Figures, Floats
from cxr.evaluate.calibration import expected_calibration_error
from cxr.evaluate.ranking import weighted_auprc, weighted_auroc

PREVALENCES = (5, 10, 20)  # percent; predictive values in a clinic depend on it, those of a test set mislead
HEADLINE = (
    "auroc", "auprc", "accuracy", "balanced_accuracy", "recall", "specificity", "precision", "npv", "f1", "youden",
    "mcc", "brier", "ece", "log_loss",
)  # fmt: skip
PROPORTIONS = ("accuracy", "recall", "specificity", "precision", "npv")
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
        Arrays (resamples,) by name: those of HEADLINE, `ppv_at_5` … `npv_at_20` and the counts tp, fp, fn, tn.
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
        recall, specificity = tp / (tp + fn), tn / (tn + fp)
        figures = {
            "accuracy": (tp + tn) / (tp + fp + fn + tn),
            "balanced_accuracy": (recall + specificity) / 2,
            "recall": recall,
            "specificity": specificity,
            "precision": tp / (tp + fp),
            "npv": tn / (tn + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
            "youden": recall + specificity - 1,
            "mcc": (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)),
        }
        for percent in PREVALENCES:
            figures |= predictive_values(recall, specificity, percent)
    return figures | {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def predictive_values(recall: Floats, specificity: Floats, percent: int) -> Figures:
    """PPV and NPV by Bayes' theorem where `percent` of the people have the finding."""
    prevalence = percent / 100
    true_calls, false_calls = recall * prevalence, (1 - specificity) * (1 - prevalence)
    true_clears, false_clears = specificity * (1 - prevalence), (1 - recall) * prevalence
    return {
        f"ppv_at_{percent}": true_calls / (true_calls + false_calls),
        f"npv_at_{percent}": true_clears / (true_clears + false_clears),
    }


def why_undefined(name: str, figures: dict[str, float]) -> str:
    """Why a figure of the plain sample has no value."""
    if figures["tp"] + figures["fn"] == 0 and name not in ("specificity", "precision", "npv"):
        return "no film of the positive class"
    if figures["tn"] + figures["fp"] == 0 and name not in ("recall", "precision", "npv"):
        return "no film of the negative class"
    if figures["tp"] + figures["fp"] == 0:
        return "no film is called positive"
    return "no film is called negative"
