"""How alike two films are, whatever was done to one of them: stored again, resized, cropped, mirrored or relit.

Each film is kept as a thumbnail. Ranks of its grey levels, without the coarse light and shade that all chests share,
tell films apart under any monotone change of brightness. Small whole-number descriptors of thumbnails, and of parts of
them, find the likeliest counterparts; aligning the two thumbnails then says how alike they are.
"""

from typing import Any

import cv2
import numpy as np

from cxr.films.letterbox import Image

SIDE = 48  # pixels of a thumbnail
SQUARE = 16  # values along a descriptor's side
UNIT = 400  # of the whole numbers in a descriptor; a sum of products stays exact in float32
# Parts of a film that a crop may have left: shares cut off at the top, the bottom, the left and the right.
WINDOWS = (
    (0.0, 0.0, 0.0, 0.0),
    (0.07, 0.07, 0.07, 0.07),
    (0.07, 0.07, 0.0, 0.0),
    (0.0, 0.0, 0.07, 0.07),
    (0.1, 0.0, 0.0, 0.0),
    (0.0, 0.1, 0.0, 0.0),
    (0.0, 0.0, 0.1, 0.0),
    (0.0, 0.0, 0.0, 0.1),
    (0.1, 0.0, 0.1, 0.0),
    (0.1, 0.0, 0.0, 0.1),
    (0.0, 0.1, 0.1, 0.0),
    (0.0, 0.1, 0.0, 0.1),
)
STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 15, 1e-4)
MIN_AREA, MAX_SHIFT = 0.4, 0.3  # of the other film that an alignment shows, and how far it moves it

Ranks = np.ndarray[Any, np.dtype[np.float32]]
Descriptor = np.ndarray[Any, np.dtype[np.int8]]


def thumbnail(grey: Image) -> Image:
    """A film (height, width) as (SIDE, SIDE); the aspect is lost."""
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def descriptor(thumb: Image, window: int = 0) -> Descriptor:
    """(SQUARE * SQUARE,) of a part of a thumbnail; the dot product of two over UNIT squared is their correlation."""
    top, bottom, left, right = (round(share * SIDE) for share in WINDOWS[window])
    part = np.ascontiguousarray(thumb[top : SIDE - bottom, left : SIDE - right])
    small = np.asarray(cv2.resize(part, (SQUARE, SQUARE), interpolation=cv2.INTER_AREA), np.uint8)
    return np.clip(np.rint(_details(small) * UNIT), -127, 127).astype(np.int8).ravel()


def aligned_distance(part: Image, whole: Image, window: int) -> float:
    """1 minus the correlation of two thumbnails once `part` is laid over `window` of `whole` and aligned; 0 to 1.

    Source: enhanced correlation coefficient, Evangelidis and Psarakis, IEEE TPAMI 30 (2008).
    """
    top, bottom, left, right = WINDOWS[window]
    start = np.array([[1 - left - right, 0, left * SIDE], [0, 1 - top - bottom, top * SIDE]], np.float32)
    try:
        likeness, warp = cv2.findTransformECC(
            _details(part), _details(whole), start, cv2.MOTION_AFFINE, STEPS, np.empty(0, np.uint8), 3
        )
    except cv2.error:  # nothing in one lies over the other
        return 1.0
    if np.linalg.det(warp[:, :2]) < MIN_AREA or np.abs(warp[:, 2]).max() > MAX_SHIFT * SIDE:
        return 1.0
    return round(1 - max(0.0, float(likeness)), 3)


def _details(small: Image) -> Ranks:
    """The ranks of a square's grey levels without their coarse part, of zero mean and unit norm; zeros if constant."""
    ranks = small.ravel().argsort(kind="stable").argsort(kind="stable").reshape(small.shape).astype(np.float32)
    fine = ranks - cv2.GaussianBlur(ranks, (0, 0), len(small) / 8)
    fine = np.round(fine.astype(np.float64), 3)
    fine -= fine.mean()
    norm = float(np.linalg.norm(fine))
    return np.asarray(fine / norm if norm > 0 and small.min() < small.max() else np.zeros_like(fine), np.float32)
