"""HOG and grey-level histogram features of a film. No torch here: processes that compute them start quickly."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.evaluate.arrays import Floats
from cxr.evaluate.painting import without_lungs
from cxr.npz.npz_set import read_npz

SIDE, CELL, ORIENTATIONS, GREYS = 128, 16, 9, 32


def features_of(path: Path) -> Floats:
    """The features of an NPZ film."""
    return features(read_npz(path).image)


def features_without_lungs(path: Path) -> Floats:
    """The features of an NPZ film whose lungs are painted over."""
    return features(without_lungs(read_npz(path).image[None])[0])


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
