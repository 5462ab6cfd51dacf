"""From probability to a mask that can be believed: two lungs without holes, or the whole film and the reason why."""

from dataclasses import dataclass

import cv2
import numpy as np

from cxr.films.letterbox import Box, Image, Letterbox
from cxr.segment.config import SegmentSection
from cxr.segment.segmenter import Probability

SPECK = 0.05  # a second component below this share of the first is no lung
WAIST = 0.65  # lung in the column through the centre, share of the fullest column; one lung has 0.77 and more


@dataclass(frozen=True)
class Lungs:
    """A mask in the letterbox frame and what was seen in it. Areas are shares of the film."""

    frame: Letterbox  # maps mask and boxes back to the film
    probability: Probability  # of lung, (frame, frame)
    found: Image  # (frame, frame), 0 or 255: the lungs as found
    mask: Image  # the same, or the whole film when they are not plausible
    area: float
    right_area: float  # the patient's right: left in the picture
    left_area: float
    reason: str  # why the mask is the whole film; empty when it is the lungs


def postprocess(probability: Probability, frame: Letterbox, settings: SegmentSection) -> Lungs:
    """Threshold and clean the lung mask; fall back to the whole film where it is implausible.

    Args:
        probability: of lung, (frame, frame).
        frame: where the film lies in it.
        settings: threshold and bounds.
    """
    left, top, right, bottom = frame.inner
    found = np.zeros(probability.shape, np.uint8)
    found[top:bottom, left:right] = probability[top:bottom, left:right] >= settings.threshold
    x, y, width, height = cv2.boundingRect(found) if found.any() else (left, top, right - left, bottom - top)
    part = (slice(y, y + height), slice(x, x + width))  # all that follows happens here, in a third of the frame
    film_there = (left - x, top - y, right - x, bottom - y)
    inside = fill_holes(two_largest(np.ascontiguousarray(found[part])))
    right_lung, left_lung = split_sides(inside, film_there)
    pixels = (right - left) * (bottom - top)
    right_area, left_area = cv2.countNonZero(right_lung) / pixels, cv2.countNonZero(left_lung) / pixels
    reason = implausible(inside, film_there, right_area, left_area, settings)
    lungs = np.zeros_like(found)
    lungs[part] = inside
    whole = np.zeros_like(lungs)
    whole[top:bottom, left:right] = 1
    mask = whole if reason else lungs
    white = np.uint8(255)
    return Lungs(frame, probability, lungs * white, mask * white, right_area + left_area, right_area, left_area, reason)


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


def split_sides(mask: Image, film: Box) -> tuple[Image, Image]:
    """The patient's right and left lung (left and right in the picture), as masks of 0 and 1.

    Two components are told apart by their centres. A single one with a waist at its own centre is two lungs that touch,
    and is cut there, wherever the patient lies. Without a waist it is one lung, of the side of the film that it is on.
    """
    count, labels, _, centres = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count == 3:
        first = 1 if centres[1][0] <= centres[2][0] else 2
        return (labels == first).astype(np.uint8), (labels == 3 - first).astype(np.uint8)
    right_lung, left_lung = mask.copy(), mask.copy()
    if count == 2:
        columns, centre = mask.sum(axis=0, dtype=np.int64), round(float(centres[1][0]))
        if columns[centre] < WAIST * columns.max():
            right_lung[:, centre:], left_lung[:, :centre] = 0, 0
        else:
            (left_lung if centre < (film[0] + film[2]) / 2 else right_lung)[:] = 0
    return right_lung, left_lung


def implausible(mask: Image, film: Box, right_area: float, left_area: float, settings: SegmentSection) -> str:
    """The first reason not to believe a mask of 0 and 1, or an empty string."""
    area, smaller, larger = right_area + left_area, min(right_area, left_area), max(right_area, left_area)
    if larger == 0:
        return "no lung found"
    if area < settings.min_area:
        return f"lungs on {area:.1%} of the film: too small"
    if area > settings.max_area:
        return f"lungs on {area:.1%} of the film: too large"
    if smaller < settings.min_lung_ratio * larger:
        return f"{'right' if right_area < left_area else 'left'} lung {smaller / larger:.0%} of the other"
    moments = cv2.moments(mask, binaryImage=True)
    left, top, right, bottom = film
    x_offset = abs(moments["m10"] / moments["m00"] + 0.5 - (left + right) / 2) / (right - left)
    y_offset = abs(moments["m01"] / moments["m00"] + 0.5 - (top + bottom) / 2) / (bottom - top)
    if max(x_offset, y_offset) > settings.max_offset:
        return f"lungs {max(x_offset, y_offset):.0%} of the film off its centre"
    return ""
