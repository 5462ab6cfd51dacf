"""What tells one source of films from another before any lung is looked at: size, exposure, contrast, sharpness.

Measured on the stored image, so on what the classifier sees, and on the film's own size.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from cxr.films.letterbox import Image

Floats = np.ndarray[Any, np.dtype[np.float64]]
STATISTICS = ("width", "height", "aspect", "mean", "contrast", "black", "sharpness", "lungs")
LEVELS = np.linspace(0, 1, 101)  # the quantiles that a bundle keeps


def acquisition(image: Image, film_size: tuple[int, int]) -> Floats:
    """The STATISTICS of a film.

    Args:
        image: stored image, uint8 (side, side, 4).
        film_size: width and height of the film, pixels.

    Returns:
        (8,): width and height in pixels, their ratio; mean and standard deviation of the grey levels, 0 to 255; share
        of black pixels; standard deviation of the Laplacian, grey levels; share of the image that is lung.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2GRAY)
    width, height = film_size
    return np.array([
        width, height, width / height, grey.mean(), grey.std(), np.mean(grey < 8),
        cv2.Laplacian(grey, cv2.CV_32F).std(), np.mean(image[..., 3] > 127),
    ])  # fmt: skip


def quantiles(statistics: Sequence[Floats]) -> Floats:
    """The quantiles of each statistic over films, (101, 8)."""
    return np.asarray(np.quantile(np.stack(statistics), LEVELS, axis=0))
