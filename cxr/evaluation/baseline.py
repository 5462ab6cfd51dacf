"""The baseline that a network must beat: logistic regression on HOG and grey-level histogram features."""

from typing import Any

import cv2
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cxr.core.progress import progress
from cxr.evaluation.bootstrap import Floats
from cxr.evaluation.inference import NpzSet
from cxr.npz.npz_set import read_npz

SIDE, CELL, ORIENTATIONS, GREYS = 128, 16, 9, 32
STRENGTH = 0.01  # inverse of the L2 penalty, fixed beforehand for standardised features, tuned on nothing


def features(image: np.ndarray[Any, Any]) -> Floats:
    """Histogram of oriented gradients (Dalal & Triggs 2005) and grey histogram of an NPZ image (H, W, 4), (n,)."""
    grey = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY)
    grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    dy, dx = np.gradient(grey)
    angle = np.mod(np.arctan2(dy, dx), np.pi) * (ORIENTATIONS / np.pi)
    direction = np.minimum(angle.astype(int), ORIENTATIONS - 1)
    cells = SIDE // CELL
    rows, columns = np.indices(grey.shape) // CELL
    index = (rows * cells + columns) * ORIENTATIONS + direction
    votes = np.bincount(index.ravel(), np.hypot(dx, dy).ravel(), cells * cells * ORIENTATIONS)
    grid = votes.reshape(cells, cells, ORIENTATIONS)
    blocks = np.concatenate([grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]], axis=2)
    blocks /= np.linalg.norm(blocks, axis=2, keepdims=True) + 1e-6
    shades = np.histogram(grey, GREYS, (0, 256))[0] / grey.size
    return np.concatenate([blocks.ravel(), shades])


def baseline_logits(films: NpzSet, classes: tuple[str, ...], ids: list[str]) -> Floats | None:
    """Fit on the training films and score the films `ids`: (films,) for two classes, (films, classes) for more.

    Returns:
        None where the training films lack a class.
    """
    training, wanted = films.split("train"), set(ids)
    scored = NpzSet(films.folder, [row for row in films.rows if row.image_id in wanted and row.split != "train"])
    if {row.label for row in training.rows} != set(classes):
        return None
    both = NpzSet(films.folder, [*training.rows, *scored.rows])
    table = np.stack(
        [
            features(read_npz(both.folder / row.file).image)
            for row in progress(both.rows, len(both.rows), "baseline features")
        ]
    )
    label = [classes.index(row.label) for row in training.rows]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=500))
    with threadpool_limits(1):  # the order of additions, and so the last digits, depend on the number of threads
        model.fit(table[: len(label)], label)
        values = np.asarray(model.decision_function(table[len(label) :]))
    place = {row.image_id: index for index, row in enumerate(scored.rows)}
    return np.asarray(values[[place[name] for name in ids]])
