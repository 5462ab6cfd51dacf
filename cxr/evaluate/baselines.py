"""Logits of the baselines: logistic regression on HOG features, and on acquisition features alone."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cxr.acquisition.score import fit_predict_logits
from cxr.core.errors import CxrError
from cxr.evaluate.features import features_lungs_masked, features_of
from cxr.evaluate.inference import NpzSet
from cxr.evaluate.intervals import Floats
from cxr.npz.films import NpzRow
from cxr.runtime.compute import Compute
from cxr.runtime.parallel import map_films

ACQUISITION_STRENGTH = 0.1  # inverse of the L2 penalty for standardised statistics; not tuned
HOG_STRENGTH = 0.01  # inverse of the L2 penalty for standardised features; not tuned


def acquisition_logits(
    statistics: pd.DataFrame, training: list[NpzRow], classes: tuple[str, ...], ids: list[str]
) -> Floats | None:
    """Fit on the training films and score the films `ids`: (films,) for two classes, (films, classes) for more.

    Args:
        statistics: of every film of the cohort, by image id (`read_acquisition`, `framing`).
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
    logits = fit_predict_logits(known, labels, statistics.loc[ids].to_numpy(), ACQUISITION_STRENGTH)
    return np.asarray(logits[:, 1] if len(classes) == 2 else logits, np.float64)


def baseline_logits(
    films: NpzSet, classes: tuple[str, ...], ids: list[str], compute: Compute, lungs: bool = True
) -> Floats | None:
    """Fit on the training films and score the films `ids`: (films,) for two classes, (films, classes) for more.

    If `lungs` is false, the lungs of all films are masked.

    Returns:
        None where the training films lack a class.
    """
    training, wanted = films.split("train"), set(ids)
    scored = NpzSet(films.folder, [row for row in films.rows if row.image_id in wanted and row.split != "train"])
    if {row.label for row in training.rows} != set(classes):
        return None
    both = NpzSet(films.folder, [*training.rows, *scored.rows])
    paths = [both.folder / row.file for row in both.rows]
    compute_features = features_of if lungs else features_lungs_masked
    table = np.stack(list(map_films(compute_features, paths, compute, "baseline features")))
    label = [classes.index(row.label) for row in training.rows]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=HOG_STRENGTH, max_iter=500))
    with threadpool_limits(1):  # the number of threads changes the order of additions and so the last digits
        model.fit(table[: len(label)], label)
        values = np.asarray(model.decision_function(table[len(label) :]))
    place = {row.image_id: index for index, row in enumerate(scored.rows)}
    return np.asarray(values[[place[name] for name in ids]])
