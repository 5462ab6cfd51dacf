"""What the acquisition of a film says of its label: a classifier that sees sharpness, contrast, exposure and where the
lungs lie, and nothing of what is in them."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cxr.core.errors import CxrError
from cxr.evaluate.arrays import Bools, Floats
from cxr.npz.npz_set import NpzRow

STRENGTH = 0.1  # inverse of the L2 penalty for standardised statistics, tuned on nothing
LARGEST_SHARE = 1 / 3  # of each class that may count as conflicting
STEPS = 200  # of the share that are tried, from the largest down


def acquisition_logits(
    statistics: pd.DataFrame, training: list[NpzRow], classes: tuple[str, ...], ids: list[str]
) -> Floats | None:
    """Fit on the training films and score the films `ids`: (films,). Classes count alike, however many films they have.

    Args:
        statistics: of every film of the cohort, by image id (`read_acquisition`, `read_framing`).
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


def conflicting(score: Floats, positive: Bools) -> Bools:
    """The films (films,) whose acquisition speaks against their label.

    They are the same share of each class: the largest, up to LARGEST_SHARE, of which acquisition tells the label no
    better than a coin. The better it tells the label of all films, the fewer they are, and there may be none.

    Args:
        score: what acquisition says, (films,), higher for the positive class.
        positive: the label, (films,).
    """
    against, rank = np.where(positive, -score, score), np.empty(len(score))
    for label in (False, True):
        own = np.flatnonzero(positive == label)
        rank[own[np.argsort(-against[own], kind="stable")]] = (np.arange(len(own)) + 0.5) / max(len(own), 1)
    for share in np.linspace(LARGEST_SHARE, 0, STEPS, endpoint=False):
        chosen = rank < share
        if 0 < positive[chosen].sum() < chosen.sum() and roc_auc_score(positive[chosen], score[chosen]) <= 0.5:
            return np.asarray(chosen)
    return np.zeros(len(score), bool)
