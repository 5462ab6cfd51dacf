"""What the acquisition of a film says of its label: a classifier that sees sharpness, contrast and exposure alone."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cxr.core.errors import CxrError
from cxr.evaluate.arrays import Floats
from cxr.npz.npz_set import NpzRow

STRENGTH = 0.1  # inverse of the L2 penalty for standardised statistics, tuned on nothing


def acquisition_logits(
    statistics: pd.DataFrame, training: list[NpzRow], classes: tuple[str, ...], ids: list[str]
) -> Floats | None:
    """Fit on the training films and score the films `ids`: (films,). Classes count alike, however many films they have.

    Args:
        statistics: of every film of the cohort, by image id (`read_acquisition`).
        training: the training films.
        classes: two.
        ids: image ids of the films to score.

    Returns:
        None for three or more classes, and where the training films lack one.

    Raises:
        CxrError: a film has no statistics.
    """
    if len(classes) != 2 or {row.label for row in training} != set(classes):
        return None
    missing = {*ids, *(row.image_id for row in training)} - set(statistics.index)
    if missing:
        raise CxrError(f"data/acquisition.csv: no row of {min(missing)}; run `dvc repro --force ingest`")
    label = [classes.index(row.label) for row in training]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000, class_weight="balanced"))
    with threadpool_limits(1):  # the order of additions, and so the last digits, depend on the number of threads
        model.fit(statistics.loc[[row.image_id for row in training]].to_numpy(), label)
        return np.asarray(model.decision_function(statistics.loc[ids].to_numpy()), np.float64)
