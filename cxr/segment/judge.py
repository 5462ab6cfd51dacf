"""Whether a mask is believed: the lungs as found, or the whole film and the reason why."""

from dataclasses import dataclass

import cv2
import numpy as np

from cxr.films.letterbox import Box, Image, Letterbox
from cxr.segment.clean import bounds
from cxr.segment.config import SegmentSection
from cxr.segment.segmenter import Probability

WAIST = 0.65  # lung in the column through the centre, share of the fullest column; one lung has 0.77 and more


@dataclass(frozen=True)
class Lungs:
    """A mask in the letterbox frame and what was seen in it. Areas are shares of the film."""

    frame: Letterbox  # maps mask and boxes back to the film
    probability: Probability  # of lung, (frame, frame)
    found: Image  # (frame, frame), 0 or 255: the lungs as found
    mask: Image  # the same, or the whole film when they are not believed
    area: float
    right_area: float  # the patient's right: left in the picture
    left_area: float
    box: tuple[float, float, float, float]  # of `found`: left, top, right, bottom; the whole film where it is empty
    quality: float  # Dice to expect of `found`; 0 where size, sides or place are those of no pair of lungs
    reason: str  # why the mask is the whole film; empty when it is the lungs


def judge(probability: Probability, found: Image, frame: Letterbox, quality: float, settings: SegmentSection) -> Lungs:
    """Measure the lungs as found; where their quality is too low, the mask is the whole film.

    Args:
        probability: of lung, (frame, frame).
        found: the lungs, 0 or 255, (frame, frame).
        frame: where the film lies in it.
        quality: the Dice to expect of them. It cannot tell one lung from two, or lungs from what else looks like them
            on every view of the film, so it counts as 0 outside of the bounds of plausibility.
        settings: the least quality, and those bounds.
    """
    left, top, right, bottom = frame.inner
    part = bounds(found)
    inside = np.ascontiguousarray(found[part] > 0).view(np.uint8)
    y, x = part[0].start, part[1].start
    film_there = (left - x, top - y, right - x, bottom - y)
    right_lung, left_lung = split_sides(inside, film_there)
    width, height = right - left, bottom - top
    pixels = width * height
    right_area, left_area = cv2.countNonZero(right_lung) / pixels, cv2.countNonZero(left_lung) / pixels
    reason = implausible(inside, film_there, right_area, left_area, settings)
    if reason:
        quality = 0.0
    elif quality < settings.min_quality:
        reason = f"mask of poor quality: Dice of {quality:.3f} expected"
    mask = found
    if reason:
        mask = np.zeros_like(found)
        mask[top:bottom, left:right] = 255
    box = (0.0, 0.0, 1.0, 1.0)
    if inside.any():
        box = (x - left) / width, (y - top) / height, (part[1].stop - left) / width, (part[0].stop - top) / height
    area = right_area + left_area
    return Lungs(frame, probability, found, mask, area, right_area, left_area, box, quality, reason)


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
