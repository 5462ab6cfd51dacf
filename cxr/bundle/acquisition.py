"""What tells one source of films from another before any lung is looked at: size, exposure, contrast, sharpness."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cxr.films import acquisition
from cxr.films.letterbox import Image

Floats = np.ndarray[Any, np.dtype[np.float64]]
STATISTICS = ("width", "height", "aspect", *acquisition.STATISTICS)
LEVELS = np.linspace(0, 1, 101)  # the quantiles that a bundle keeps


def acquisition_of(grey: Image) -> Floats:
    """The STATISTICS of a film (height, width): its size and shape, then what its grey levels tell."""
    height, width = grey.shape
    return with_size((width, height), acquisition.acquisition_statistics(grey))


def with_size(film_size: tuple[int, int], statistics: Floats) -> Floats:
    """The STATISTICS from a film's width and height in pixels and what its grey levels tell."""
    width, height = film_size
    return np.concatenate([[width, height, width / height], statistics])


def quantiles(statistics: Sequence[Floats]) -> Floats:
    """The quantiles of each statistic over films, (101, len(STATISTICS))."""
    return np.asarray(np.quantile(np.stack(statistics), LEVELS, axis=0))
