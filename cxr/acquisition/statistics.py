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
    laplacian = cv2.Laplacian(film, cv2.CV_16S, ksize=1)
    along, down = (cv2.Sobel(film, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))  # exact: sums below 2^24
    gradient = np.sqrt(along * along + down * down)
    detail = cv2.subtract(film, cv2.GaussianBlur(film, (0, 0), 1.0), dtype=cv2.CV_16S)
    sides = film[RIM:-RIM]
    rim = np.concatenate([part.ravel() for part in (film[:RIM], film[-RIM:], sides[:, :RIM], sides[:, -RIM:])])
    mean, variance = _mean_and_variance(film)
    rim_mean, rim_variance = _mean_and_variance(rim)
    ordered = np.repeat(np.arange(256), np.bincount(film.ravel(), minlength=256))  # the sorted grey levels
    _, jpeg = cv2.imencode(".jpg", film, [cv2.IMWRITE_JPEG_QUALITY, 90])
    values = [
        np.log(_mean_and_variance(laplacian)[1] + 1),
        np.log(gradient.mean(dtype=np.float64) + 1),
        np.log((_mean_and_variance(detail)[1] + 0.1) / (variance + 1)),
        np.sqrt(variance),
        mean,
        np.searchsorted(ordered, BLACK) / film.size,
        1 - np.searchsorted(ordered, WHITE, "right") / film.size,
        rim_mean,
        np.sqrt(rim_variance),
        ordered[0],
        ordered[-1],
        *np.percentile(ordered, PERCENTILES),
        np.log(len(jpeg)),
    ]
    return np.asarray(np.round(np.asarray(values, np.float64), 6), np.float64)


def with_size(film_size: tuple[int, int], statistics: Floats) -> Floats:
    """The STATISTICS from a film's width and height in pixels and its GREY_STATISTICS."""
    width, height = film_size
    return np.concatenate([[width, height, width / height], statistics])


def quantiles(statistics: Sequence[Floats]) -> Floats:
    """The quantiles of each statistic over films, (101, len(STATISTICS))."""
    return np.asarray(np.quantile(np.stack(statistics), LEVELS, axis=0))


def _mean_and_variance(values: Any) -> tuple[float, float]:
    """Of integers: exact sums, so that their order does not matter."""
    whole = values.astype(np.int64, copy=False).ravel()
    mean = whole.sum() / whole.size
    return float(mean), float(np.dot(whole, whole) / whole.size - mean * mean)
