"""From the probability of lung to a mask: two components without holes."""

import cv2
import numpy as np

from cxr.films.letterbox import Image, Letterbox
from cxr.segment.segmenter import Probability

SPECK = 0.05  # a second component below this share of the first is no lung


def clean(probability: Probability, frame: Letterbox, threshold: float) -> Image:
    """The lungs as found, 0 or 255, (frame, frame): from a threshold on, two components at most, holes filled.

    Args:
        probability: of lung, (frame, frame).
        frame: where the film lies in it; there are no lungs outside.
        threshold: probability from which a pixel counts.
    """
    left, top, right, bottom = frame.inner
    found = np.zeros(probability.shape, np.uint8)
    found[top:bottom, left:right] = probability[top:bottom, left:right] >= threshold
    part = bounds(found)  # what follows happens here, in a third of the frame
    found[part] = fill_holes(two_largest(np.ascontiguousarray(found[part])))
    return found * np.uint8(255)


def bounds(mask: Image) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around a mask; all of it where the mask is empty."""
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    x, y, width, height = cv2.boundingRect(mask)
    return slice(y, y + height), slice(x, x + width)


def two_largest(mask: Image) -> Image:
    """The two largest 8-connected components of a mask of 0 and 1; a second one that is a mere speck goes too."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    order = sorted(range(1, count), key=lambda label: -int(areas[label]))[:2]
    kept = [label for label in order if areas[label] >= SPECK * areas[order[0]]]
    is_kept = np.zeros(count, np.uint8)
    is_kept[kept] = 1
    return np.asarray(is_kept[labels])


def fill_holes(mask: Image) -> Image:
    """Fill what the outer contours enclose, in a mask of 0 and 1."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    return filled
