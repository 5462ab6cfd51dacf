"""The array types that evaluation speaks of."""

from typing import Any

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Images = np.ndarray[Any, np.dtype[np.uint8]]  # stored films, (films, height, width, 4), the last channel the mask
Figures = dict[str, Floats]  # values by the figure's name, one for each row of weights
