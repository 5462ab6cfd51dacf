"""How well acquisition features alone predict the label, and the films for which they predict it wrongly."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cxr.core.errors import CxrError

FOLDS = 5
LARGEST_SHARE = 1 / 3  # largest share of each class that may be bias-conflicting
STEPS = 200  # shares tried, from the largest down
CHANCE = 0.5 + 1e-9  # AUROC of a random score, with tolerance for rounding in the mean over classes
Array = np.ndarray[Any, Any]


def out_of_fold_logits(statistics: Array, labels: Array, patients: Sequence[str]) -> Array:
    """Logit of each class against all others (films, classes), by logistic regression cross-validated over patients.

    Args:
        statistics: acquisition features (films, statistics).
        labels: class indices, or whether a film is positive, (films,).
        patients: patient of each film.

    Raises:
        CxrError: a class has fewer patients than there are folds.
    """
    for label in np.unique(labels):
        own = len({patient for patient, one in zip(patients, labels, strict=True) if one == label})
        if own < FOLDS:
            raise CxrError(f"acquisition AUROC: {own} patients of one class, {FOLDS} are needed; add patients")
    with threadpool_limits(1):  # the number of threads changes the order of additions, and so the last digits
        scores = cross_val_predict(
            _model(1.0), statistics, labels, groups=patients, cv=StratifiedGroupKFold(FOLDS), method="decision_function"
        )
    return _against_others(scores)


def fit_predict_logits(statistics: Array, labels: Array, scored: Array, strength: float) -> Array:
    """As `out_of_fold_logits`, but for the films `scored`, (films, statistics), fitted on all labelled films.

    `strength` is the inverse of the L2 penalty.
    """
    with threadpool_limits(1):
        return _against_others(_model(strength).fit(statistics, labels).decision_function(scored))


def ovr_auroc(labels: Array, logits: Array, weights: Array | None = None) -> float:
    """AUROC of each class against all others, averaged over the classes; films (films,), logits (films, classes)."""
    each = [roc_auc_score(labels == place, logits[:, place], sample_weight=weights) for place in np.unique(labels)]
    return float(np.mean(each))


def bias_conflicting(labels: Array, logits: Array) -> Array:
    """Which films (films,) are bias-conflicting: acquisition predicts the wrong class (Nam et al. 2020).

    The same share of each class is chosen: the largest, up to LARGEST_SHARE, for which the acquisition AUROC is not
    above chance. The better acquisition predicts the label, the fewer films are chosen; there may be none.

    Args:
        labels: class indices (films,).
        logits: of the acquisition features, each class against all others (films, classes).
    """
    label_logit, rank = logits[np.arange(len(labels)), labels], np.empty(len(labels))
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        rank[own[np.argsort(label_logit[own], kind="stable")]] = (np.arange(len(own)) + 0.5) / len(own)
    for share in np.linspace(LARGEST_SHARE, 0, STEPS, endpoint=False):
        chosen = rank < share
        if len(np.unique(labels[chosen])) == logits.shape[1] and ovr_auroc(labels[chosen], logits[chosen]) <= CHANCE:
            return np.asarray(chosen)
    return np.zeros(len(labels), bool)


def _model(strength: float) -> Pipeline:
    """Logistic regression with equal weight per class; `strength` is the inverse of the L2 penalty."""
    model = LogisticRegression(C=strength, max_iter=1000, class_weight="balanced")
    return make_pipeline(StandardScaler(), model)


def _against_others(scores: Array) -> Array:
    """Logits of each class against all others (films, classes), from scores (films,) or (films, classes)."""
    if scores.ndim == 1:
        scores = np.column_stack([np.zeros(len(scores)), scores])
    others = [logsumexp(np.delete(scores, place, axis=1), axis=1) for place in range(scores.shape[1])]
    return np.asarray(scores - np.column_stack(others))
