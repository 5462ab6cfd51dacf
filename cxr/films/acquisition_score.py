"""What the acquisition of films says of their labels, by a classifier that is shown nothing else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cxr.core.errors import CxrError

FOLDS = 5
Array = np.ndarray[Any, Any]


def out_of_fold(statistics: Array, positive: Array, patients: Sequence[str]) -> Array:
    """A logit of each film (films,), from a logistic regression that did not see its patient; classes count alike.

    Args:
        statistics: (films, statistics), of sharpness, exposure, framing.
        positive: the label, (films,).
        patients: of each film.

    Raises:
        CxrError: a class has fewer patients than there are folds.
    """
    for label in (False, True):
        own = len({patient for patient, one in zip(patients, positive, strict=True) if one == label})
        if own < FOLDS:
            raise CxrError(f"too few patients to tell what acquisition says: {own} of one class; {FOLDS} are needed")
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
    with threadpool_limits(1):  # the order of additions, and so the last digits, depend on the number of threads
        scores = cross_val_predict(
            model, statistics, positive, groups=patients, cv=StratifiedGroupKFold(FOLDS), method="decision_function"
        )
    return np.asarray(scores)
