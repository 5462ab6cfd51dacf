"""Sampling weights against acquisition bias (`balance: acquisition`).

In many cohorts sharpness, exposure and framing predict the label, and a network learns them instead of the disease.
Drawing bias-conflicting films more often weakens this association. No film is left out.
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

SCALE = 3.0  # decrease of the label's logit by which the weight grows by a factor of e
LEAST, MOST = 0.05, 5.0  # bounds of the weights: they differ by a factor of a hundred at most


def sampling_weights(films: FilmSet) -> Array | None:
    """Sampling weight of each training film within its class, (films,); None when there are too few patients."""
    images, labels = films.train.images, films.train.labels
    places = progress(range(len(labels)), len(labels), "acquisition of training films")
    statistics = np.stack([acquisition_features(images[np.array([place])][0]) for place in places])
    try:
        logits = out_of_fold_logits(statistics, labels, films.patients)
    except CxrError as error:
        log.warning("train.balance: acquisition: %s; the films of a class are drawn equally", error)
        return None
    logits = logits.round(1)  # the last digits depend on the processor
    weights = np.exp(-logits[np.arange(len(labels)), labels] / SCALE).clip(LEAST, MOST)
    log.info(
        "acquisition-only AUROC on training films: %.3f unweighted, %.3f with sampling weights",
        ovr_auroc(labels, logits),
        ovr_auroc(labels, logits, weights),
    )
    return np.asarray(weights)


def acquisition_features(film: Array) -> Array:
    """Acquisition features of a stored image (2 or 4, side, side): grey levels, and box, share and aspect of the lungs.

    Without a lung mask the box is the whole image.
    """
    colours = film[[0, 0, 0]] if len(film) == 2 else film[:3]
    grey = np.asarray(cv2.cvtColor(colours.transpose(1, 2, 0).copy(), cv2.COLOR_RGB2GRAY), np.uint8)
    lungs = film[-1] > 127
    x, y, width, height = cv2.boundingRect((lungs if lungs.any() else ~lungs).astype(np.uint8))
    box = np.array([x, y, x + width, y + height]) / len(lungs)
    return np.array([*acquisition_statistics(grey), *box, lungs.mean(), np.log(height / width)])
