"""Acquisition features of a film: size, sharpness, contrast, exposure. They do not depend on the lungs.

Where these statistics predict the label, a classifier can score well without the disease, and will fail on films that
were acquired differently. They select the bias-conflicting validation films and measure drift on new films.
"""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

Image = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

SIDE = 224  # pixels; a common size makes films of different detectors comparable
RIM = 11  # pixels of the border
BLACK, WHITE = 16, 239  # grey levels
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
GREY_STATISTICS = (
    "sharpness",  # log variance of the Laplacian
    "gradient",  # log mean gradient
    "fine_detail",  # log share of the variance above a Gaussian of one pixel
    "contrast",  # standard deviation
    "mean",
    "black",  # share of the pixels
    "white",
    "rim",  # mean of the border
    "rim_contrast",
    "minimum",
    "maximum",
    *(f"percentile_{percent}" for percent in PERCENTILES),
    "compressed",  # log bytes as JPEG of quality 90
)
STATISTICS = ("width", "height", "aspect", *GREY_STATISTICS)
LEVELS = np.linspace(0, 1, 101)  # quantiles stored in a bundle


def acquisition_statistics(grey: Image) -> Floats:
    """The values of GREY_STATISTICS for a film (height, width), resized to a square of SIDE pixels first.

    Integer filters, float64 sums and rounding to six decimals give the same values on every processor.
    """
    film = np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    level = film.astype(np.float64)
    laplacian = cv2.Laplacian(film, cv2.CV_16S, ksize=1).astype(np.float64)
    along, down = (cv2.Sobel(film, cv2.CV_16S, *order).astype(np.float64) for order in ((1, 0), (0, 1)))
    detail = level - cv2.GaussianBlur(film, (0, 0), 1.0)
    inside = np.zeros(film.shape, bool)
    inside[RIM:-RIM, RIM:-RIM] = True
    rim = level[~inside]
    _, jpeg = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 90])
    values = [
        np.log(laplacian.var() + 1),
        np.log(np.hypot(along, down).mean() + 1),
        np.log((detail.var() + 0.1) / (level.var() + 1)),
        level.std(),
        level.mean(),
        np.mean(film < BLACK),
        np.mean(film > WHITE),
        rim.mean(),
        rim.std(),
        film.min(),
        film.max(),
        *np.percentile(film, PERCENTILES),
        np.log(len(jpeg)),
    ]
    return np.asarray(np.round(np.asarray(values, np.float64), 6), np.float64)


def acquisition_of(grey: Image) -> Floats:
    """The STATISTICS of a film (height, width): size and aspect, then the statistics of its grey levels."""
    height, width = grey.shape
    return with_size((width, height), acquisition_statistics(grey))


def with_size(film_size: tuple[int, int], statistics: Floats) -> Floats:
    """The STATISTICS from a film's width and height in pixels and its GREY_STATISTICS."""
    width, height = film_size
    return np.concatenate([[width, height, width / height], statistics])


def quantiles(statistics: Sequence[Floats]) -> Floats:
    """The quantiles of each statistic over films, (101, len(STATISTICS))."""
    return np.asarray(np.quantile(np.stack(statistics), LEVELS, axis=0))
