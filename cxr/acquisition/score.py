"""What the acquisition of films says of their labels, by a classifier that is shown nothing else."""

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
LARGEST_SHARE = 1 / 3  # of each class that may count as conflicting
STEPS = 200  # of the share that are tried, from the largest down
CHANCE = 0.5 + 1e-9  # AUROC that tells nothing; the last digits of a mean over classes are left out
Array = np.ndarray[Any, Any]


def out_of_fold_logits(statistics: Array, labels: Array, patients: Sequence[str]) -> Array:
    """Logit of each class against all others (films, classes), by a logistic regression that did not see the patient.

    Args:
        statistics: (films, statistics), of sharpness, exposure, framing.
        labels: places of the classes, from 0 on, or whether a film is positive, (films,).
        patients: of each film.

    Raises:
        CxrError: a class has fewer patients than there are folds.
    """
    for label in np.unique(labels):
        own = len({patient for patient, one in zip(patients, labels, strict=True) if one == label})
        if own < FOLDS:
            raise CxrError(f"too few patients to tell what acquisition says: {own} of one class; {FOLDS} are needed")
    with threadpool_limits(1):  # the order of additions, and so the last digits, depend on the number of threads
        scores = cross_val_predict(
            _model(1.0), statistics, labels, groups=patients, cv=StratifiedGroupKFold(FOLDS), method="decision_function"
        )
    return _against_others(scores)


def fit_predict_logits(statistics: Array, labels: Array, scored: Array, strength: float) -> Array:
    """As `out_of_fold_logits`, but of films `scored`, (films, statistics), by all labelled ones.

    `strength` is the inverse of the L2 penalty.
    """
    with threadpool_limits(1):
        return _against_others(_model(strength).fit(statistics, labels).decision_function(scored))


def ovr_auroc(labels: Array, logits: Array, weights: Array | None = None) -> float:
    """AUROC of each class against all others, averaged over the classes; films (films,), logits (films, classes)."""
    each = [roc_auc_score(labels == place, logits[:, place], sample_weight=weights) for place in np.unique(labels)]
    return float(np.mean(each))


def bias_conflicting(labels: Array, logits: Array) -> Array:
    """The films (films,) whose acquisition speaks against their label.

    They are the same share of each class: the largest, up to LARGEST_SHARE, of which acquisition tells the label no
    better than a coin. The better it tells the label of all films, the fewer they are, and there may be none.

    Args:
        labels: places of the classes, from 0 on, (films,).
        logits: what acquisition says, of each class against all others (films, classes).
    """
    speaks_for, rank = logits[np.arange(len(labels)), labels], np.empty(len(labels))
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        rank[own[np.argsort(speaks_for[own], kind="stable")]] = (np.arange(len(own)) + 0.5) / len(own)
    for share in np.linspace(LARGEST_SHARE, 0, STEPS, endpoint=False):
        chosen = rank < share
        if len(np.unique(labels[chosen])) == logits.shape[1] and ovr_auroc(labels[chosen], logits[chosen]) <= CHANCE:
            return np.asarray(chosen)
    return np.zeros(len(labels), bool)


def _model(strength: float) -> Pipeline:
    """Classes count alike, however many films they have; `strength` is the inverse of the L2 penalty."""
    model = LogisticRegression(C=strength, max_iter=1000, class_weight="balanced")
    return make_pipeline(StandardScaler(), model)


def _against_others(scores: Array) -> Array:
    """Decision function, (films,) or (films, classes), as logits (films, classes); of two classes they are opposite."""
    if scores.ndim == 1:
        scores = np.column_stack([np.zeros(len(scores)), scores])
    others = [logsumexp(np.delete(scores, place, axis=1), axis=1) for place in range(scores.shape[1])]
    return np.asarray(scores - np.column_stack(others))
