"""How often a training film is drawn where its acquisition should not tell its label (`balance: acquisition`).

In many cohorts sharpness, exposure and the place of the lungs on the film tell the label: a network learns them instead
of the disease. Some films conflict: theirs speak against the label. Drawn more often than the others, they make
acquisition a worse guide and the disease a better one. No film is left out.
"""

import logging

import cv2
import numpy as np

from cxr.acquisition.score import out_of_fold_logits, ovr_auroc
from cxr.acquisition.statistics import acquisition_statistics
from cxr.core.errors import CxrError
from cxr.runtime.console import progress
from cxr.train.data import Array, FilmSet

log = logging.getLogger(__name__)
SCALE = 3.0  # logits by which acquisition must be less right for a film to be drawn e times as often
LEAST, MOST = 0.05, 5.0  # of the weights: no film is drawn more than a hundred times as often as another


def sampling_weights(films: FilmSet) -> Array | None:
    """Weight of each training film, (films,), to be drawn by within its class; None with too few patients to tell."""
    images, labels = films.train.images, films.train.labels
    places = progress(range(len(labels)), len(labels), "acquisition of training films")
    statistics = np.stack([acquisition_features(images[np.array([place])][0]) for place in places])
    try:
        logits = out_of_fold_logits(statistics, labels, films.patients).round(
            1
        )  # the last digits depend on the processor
    except CxrError as error:
        log.warning("train.balance: acquisition: %s. The films of a class are drawn alike", error)
        return None
    weights = np.exp(-logits[np.arange(len(labels)), labels] / SCALE).clip(LEAST, MOST)
    log.info(
        "acquisition tells the label of training films at AUROC %.3f, and at %.3f as they are drawn",
        ovr_auroc(labels, logits),
        ovr_auroc(labels, logits, weights),
    )
    return np.asarray(weights)


def acquisition_features(film: Array) -> Array:
    """What a stored film (2 or 4, side, side) shows of its acquisition: grey levels, and box and share of the lungs.

    Where there is no lung mask the box is the whole film.
    """
    colours = film[[0, 0, 0]] if len(film) == 2 else film[:3]
    grey = np.asarray(cv2.cvtColor(colours.transpose(1, 2, 0).copy(), cv2.COLOR_RGB2GRAY), np.uint8)
    lungs = film[-1] > 127
    x, y, width, height = cv2.boundingRect((lungs if lungs.any() else ~lungs).astype(np.uint8))
    box = np.array([x, y, x + width, y + height]) / len(lungs)
    return np.array([*acquisition_statistics(grey), *box, lungs.mean(), np.log(height / width)])
