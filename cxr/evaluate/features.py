"""Images with masked lungs, and HOG features of images."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cxr.evaluate.intervals import Bools, Floats, Images
from cxr.npz.films import read_npz

BLACK = 2  # grey levels of 255: at most this in every pixel of a padded row or column
SIDE, CELL, ORIENTATIONS, GREYS = 128, 16, 9, 32


def lungs_masked(images: Images) -> Images:
    """Films (N, H, W, 4) with their lungs masked by the mean grey of the rest; the outline stays visible."""
    lungs = images[..., 3] > 127
    return _mask(images, lungs, ~lungs & ~padding(images))


def lungs_only(images: Images) -> Images:
    """Films (N, H, W, 4) with everything but the lungs, padding included, masked by the lungs' mean grey."""
    lungs = images[..., 3] > 127
    return _mask(images, ~lungs, lungs)


def padding(images: Images) -> Bools:
    """The padding of films (N, H, W, 4): entirely black rows and columns at the edges, (N, H, W)."""
    dark: Bools = images[..., :3].max(axis=3) <= BLACK
    rows, columns = (_from_both_ends(np.asarray(dark.all(axis=axis))) for axis in (2, 1))
    return np.asarray(rows[:, :, None] | columns[:, None, :])


def _from_both_ends(black: Bools) -> Bools:
    """Whether a line and all lines between it and one of the two edges are black, (N, lines)."""
    first = np.logical_and.accumulate(black, axis=1)
    last = np.logical_and.accumulate(black[:, ::-1], axis=1)[:, ::-1]
    return np.asarray(first | last)


def _mask(images: Images, where: Bools, visible: Bools) -> Images:
    """Fill `where` with the mean of `visible`; black if nothing is visible."""
    count = visible.sum(axis=(1, 2))
    total = (images[..., :3].sum(axis=3, dtype=np.int64) * visible).sum(axis=(1, 2))
    grey = np.rint(total / np.maximum(3 * count, 1)).astype(np.uint8)
    masked = images.copy()
    masked[..., :3] = np.where(where[..., None], grey[:, None, None, None], images[..., :3])
    return masked


def features_of(path: Path) -> Floats:
    """The features of an NPZ film."""
    return features(read_npz(path).image)


def features_lungs_masked(path: Path) -> Floats:
    """The features of an NPZ film with masked lungs."""
    return features(lungs_masked(read_npz(path).image[None])[0])


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
