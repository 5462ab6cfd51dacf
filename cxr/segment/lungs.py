"""From a film to its lung mask: probability, clean-up, plausibility, fallback."""

from dataclasses import dataclass

import cv2
import numpy as np

from cxr.films.film import Film
from cxr.films.letterbox import Box, Image, Letterbox
from cxr.segment.config import SegmentSection
from cxr.segment.quality import expected_dice, mask_confidence
from cxr.segment.segmenter import Probability, Segmenter

SPECK = 0.05  # a second component below this share of the first is not a lung
WAIST = 0.65  # lung in the column through the centre, share of the fullest column; a single lung has 0.77 or more


def clean(probability: Probability, frame: Letterbox, threshold: float) -> Image:
    """The lungs as found, 0 or 255, (frame, frame): thresholded, two components at most, holes filled.

    Args:
        probability: of lung, (frame, frame).
        frame: the film's place in the frame; nothing outside counts as lung.
        threshold: probability from which a pixel counts as lung.
    """
    left, top, right, bottom = frame.inner
    found = np.zeros(probability.shape, np.uint8)
    found[top:bottom, left:right] = probability[top:bottom, left:right] >= threshold
    part = bounds(found)  # usually a third of the frame
    found[part] = fill_holes(two_largest(np.ascontiguousarray(found[part])))
    return found * np.uint8(255)


def bounds(mask: Image) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around a mask; the whole frame for an empty mask."""
    if not mask.any():
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    x, y, width, height = cv2.boundingRect(mask)
    return slice(y, y + height), slice(x, x + width)


def two_largest(mask: Image) -> Image:
    """The two largest 8-connected components of a mask of 0 and 1; the second only if it is larger than a speck."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    order = sorted(range(1, count), key=lambda label: -int(areas[label]))[:2]
    kept = [label for label in order if areas[label] >= SPECK * areas[order[0]]]
    is_kept = np.zeros(count, np.uint8)
    is_kept[kept] = 1
    return np.asarray(is_kept[labels])


def fill_holes(mask: Image) -> Image:
    """Fill the holes inside the outer contours of a mask of 0 and 1."""
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(mask)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    return filled


@dataclass(frozen=True)
class Lungs:
    """A mask in the letterbox frame and its measures. Areas are shares of the film."""

    frame: Letterbox  # maps mask and boxes back to the film
    probability: Probability  # of lung, (frame, frame)
    found: Image  # (frame, frame), 0 or 255: the lungs as found
    mask: Image  # the same, or the whole film as a fallback
    area: float
    right_area: float  # the patient's right: left in the image
    left_area: float
    box: tuple[float, float, float, float]  # of `found`: left, top, right, bottom; the whole film when it is empty
    quality: float  # expected Dice of `found`; 0 when it is implausible
    reason: str  # of the fallback; empty without fallback


def validate_mask(
    probability: Probability, found: Image, frame: Letterbox, quality: float, settings: SegmentSection
) -> Lungs:
    """Measure the lungs as found; use the whole film as mask when they are implausible or of poor quality.

    Args:
        probability: of lung, (frame, frame).
        found: the lungs, 0 or 255, (frame, frame).
        frame: the film's place in the frame.
        quality: their expected Dice. It does not recognise a missing lung, or a structure that resembles lungs at both
            scales, and so it is set to 0 outside the plausibility bounds.
        settings: the minimum quality and the plausibility bounds.
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
    """The patient's right and left lung (left and right in the image), as masks of 0 and 1.

    Two components are assigned by their centres. A single component with a waist at its centre is two touching lungs,
    and is cut there. Without a waist it is one lung, on the side of the film where its centre is.
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
    """The first reason why a mask of 0 and 1 is implausible, or an empty string."""
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


def find_lungs(film: Film, segmenter: Segmenter, settings: SegmentSection) -> Lungs:
    """Find the lungs of a film, which may be reduced."""
    frame = Letterbox(*film.size, segmenter.frame_px)
    return lungs_in_frame(film_in_frame(film, frame, settings.seg_on_gray), frame, segmenter, settings)


def film_in_frame(film: Film, frame: Letterbox, grey: bool) -> Image:
    """The film in the letterbox as input of the segmenter: (frame, frame) grey, or (frame, frame, 3) RGB.

    `frame` has the film's true proportions, which differ from those of its pixels for a squashed file. Without `grey`
    the film keeps its colours, if it has any.
    """
    return frame.to_frame(film.grey if grey or film.colour is None else film.colour)


def lungs_in_frame(picture: Image, frame: Letterbox, segmenter: Segmenter, settings: SegmentSection) -> Lungs:
    """Find the lungs of a film that is already in the letterbox."""
    probability = segmenter.probability(picture)
    found = clean(probability, frame, settings.threshold)
    measures = mask_confidence(picture, probability, found, frame, segmenter, settings.threshold)
    quality = expected_dice(*measures, segmenter.quality)
    return validate_mask(probability, found, frame, quality, settings)
