"""Figures of a classifier of three or more classes, for weighted films."""

from dataclasses import dataclass

import numpy as np

from cxr.evaluate.arrays import Figures, Floats, Indices
from cxr.evaluate.binary import TINY
from cxr.evaluate.calibration import expected_calibration_error, one_hot
from cxr.evaluate.ranking import weighted_auprc, weighted_auroc

FIGURES = (
    "macro_auroc", "macro_auprc", "accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "mcc", "top2_accuracy",
    "brier", "ece", "log_loss",
)  # fmt: skip
PER_CLASS = ("auroc", "auprc", "sensitivity", "precision", "f1")


@dataclass(frozen=True)
class ScoredClasses:
    """Films with a reference class and what the classifier said."""

    label: Indices  # class index, (films,)
    probability: Floats  # calibrated, (films, classes)
    decision: Indices  # class index, (films,)


def multiclass_figures(films: ScoredClasses, weights: Floats) -> Figures:
    """All figures for each row of weights (resamples, films); NaN where a figure is not defined.

    Returns:
        Arrays (resamples,) by name: those of FIGURES, `top3_accuracy` and `top5_accuracy` with more classes than
        that, and for class k those of PER_CLASS as `k:auroc` ….
    """
    classes = films.probability.shape[1]
    truth, called = one_hot(films.label, classes), one_hot(films.decision, classes)
    total = weights.sum(axis=1)
    table = np.einsum("bn,ni,nj->bij", weights, truth, called, optimize=True)  # (resamples, reference, called)
    hits, present, calls = np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2), table.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, precision, f1 = hits / present, hits / calls, 2 * hits / (present + calls)
        mcc = (hits.sum(axis=1) * total - (present * calls).sum(axis=1)) / np.sqrt(
            (total**2 - (calls**2).sum(axis=1)) * (total**2 - (present**2).sum(axis=1))
        )
    auroc = np.stack([weighted_auroc(truth[:, k], films.probability[:, k], weights) for k in range(classes)], axis=1)
    auprc = np.stack([weighted_auprc(truth[:, k], films.probability[:, k], weights) for k in range(classes)], axis=1)
    own = films.probability[np.arange(len(films.label)), films.label]
    likeliest = films.probability.argmax(axis=1)
    figures = {
        "macro_auroc": auroc.mean(axis=1),
        "macro_auprc": auprc.mean(axis=1),
        "accuracy": hits.sum(axis=1) / total,
        "balanced_accuracy": sensitivity.mean(axis=1),
        "macro_f1": f1.mean(axis=1),
        "micro_f1": hits.sum(axis=1) / total,  # each film has one label and one call, so it equals the accuracy
        "mcc": mcc,
        "brier": weights @ np.square(films.probability - truth).sum(axis=1) / total,
        "ece": expected_calibration_error(
            (likeliest == films.label).astype(np.float64), films.probability.max(axis=1), weights
        ),
        "log_loss": weights @ -np.log(np.clip(own, TINY, 1)) / total,
    }
    rank = (films.probability > own[:, None]).sum(axis=1)  # how many classes are thought likelier than the true one
    for k in (2, 3, 5):
        if k == 2 or k < classes:
            figures[f"top{k}_accuracy"] = weights @ (rank < k).astype(np.float64) / total
    for k in range(classes):
        values = (auroc, auprc, sensitivity, precision, f1)
        figures |= {f"{k}:{name}": value[:, k] for name, value in zip(PER_CLASS, values, strict=True)}
    return figures


def why_undefined(name: str, labels: Indices, classes: tuple[str, ...]) -> str:
    """Why a figure of the plain sample has no value."""
    present = set(labels.tolist())
    missing = [label for index, label in enumerate(classes) if index not in present]
    if ":" in name:
        index = int(name.partition(":")[0])
        if index not in present:
            return f"no film of class {classes[index]}"
        return "all films are of one class" if len(present) == 1 else f"no film is called {classes[index]}"
    if missing:
        return f"no film of class {', '.join(missing)}"
    return "some class is never called"
