"""What the acquisition of a film says of its label: a classifier that sees sharpness, contrast, exposure and where the
lungs lie, and nothing of what is in them."""

import numpy as np
import pandas as pd

from cxr.core.errors import CxrError
from cxr.evaluate.arrays import Floats
from cxr.films.acquisition_score import of_others
from cxr.npz.npz_set import NpzRow

STRENGTH = 0.1  # inverse of the L2 penalty for standardised statistics, tuned on nothing


def acquisition_logits(
    statistics: pd.DataFrame, training: list[NpzRow], classes: tuple[str, ...], ids: list[str]
) -> Floats | None:
    """Fit on the training films and score the films `ids`: (films,) for two classes, (films, classes) for more.

    Args:
        statistics: of every film of the cohort, by image id (`read_acquisition`, `read_framing`).
        training: the training films.
        classes: two or more.
        ids: image ids of the films to score.

    Returns:
        None where the training films lack a class.

    Raises:
        CxrError: a film has no statistics.
    """
    if {row.label for row in training} != set(classes):
        return None
    missing = {*ids, *(row.image_id for row in training)} - set(statistics.index)
    if missing:
        raise CxrError(f"data/acquisition.csv: no row of {min(missing)}; run `dvc repro --force ingest`")
    labels = np.array([classes.index(row.label) for row in training])
    known = statistics.loc[[row.image_id for row in training]].to_numpy()
    logits = of_others(known, labels, statistics.loc[ids].to_numpy(), STRENGTH)
    return np.asarray(logits[:, 1] if len(classes) == 2 else logits, np.float64)
