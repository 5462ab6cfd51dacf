"""What the acquisition of films says of their labels, by a classifier that is shown nothing else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cxr.core.errors import CxrError

FOLDS = 5
Array = np.ndarray[Any, Any]


def out_of_fold(statistics: Array, labels: Array, patients: Sequence[str]) -> Array:
    """Logit of each class against all others (films, classes), by a logistic regression that did not see the patient.

    Classes count alike, however many films they have. Of two classes the logits are opposite.

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
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
    with threadpool_limits(1):  # the order of additions, and so the last digits, depend on the number of threads
        scores = cross_val_predict(
            model, statistics, labels, groups=patients, cv=StratifiedGroupKFold(FOLDS), method="decision_function"
        )
    if scores.ndim == 1:  # two classes
        scores = np.column_stack([np.zeros(len(scores)), scores])
    others = [logsumexp(np.delete(scores, place, axis=1), axis=1) for place in range(scores.shape[1])]
    return np.asarray(scores - np.column_stack(others))
