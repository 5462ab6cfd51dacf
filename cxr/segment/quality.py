"""Mask quality: the expected Dice of a lung mask, from its soft Dice and its scale agreement."""

import cv2
import numpy as np

from cxr.films.letterbox import Image, Letterbox
from cxr.segment.config import MaskQuality
from cxr.segment.segmenter import Probability, Segmenter

SMALLER = 0.9  # scale of the film for the scale agreement


def mask_confidence(
    picture: Image, probability: Probability, found: Image, frame: Letterbox, segmenter: Segmenter, threshold: float
) -> tuple[float, float | None]:
    """Soft Dice of a mask, and its scale agreement; None instead of the latter when the soft Dice is high.

    Args:
        picture: the film in the frame, grey or RGB.
        probability: of lung, (frame, frame).
        found: the mask, 0 or 255, (frame, frame).
        frame: the film's place in the frame.
        segmenter: segments the smaller film for the scale agreement.
        threshold: probability from which a pixel counts as lung.
    """
    confidence = soft_dice(probability, found, frame)
    if confidence >= segmenter.quality.certain:
        return confidence, None
    return confidence, scale_agreement(picture, found, frame, segmenter, threshold)


def expected_dice(confidence: float, agreement: float | None, tables: MaskQuality) -> float:
    """The expected Dice of a mask against a reader's mask, 0 to 1, from its soft Dice and its scale agreement."""
    if agreement is None:
        return float(np.interp(confidence, *tables.soft_dice))
    return float(np.interp(agreement, *tables.agreement))


def soft_dice(probability: Probability, found: Image, frame: Letterbox) -> float:
    """2 Σpm / (Σp + Σm) of the probabilities p and the mask m on the film; 0 for an empty mask."""
    left, top, right, bottom = frame.inner
    on_film, inside = probability[top:bottom, left:right], found[top:bottom, left:right] > 0
    total = on_film.sum(dtype=np.float64) + np.count_nonzero(inside)
    return float(2 * on_film[inside].sum(dtype=np.float64) / total) if inside.any() else 0.0


def scale_agreement(picture: Image, found: Image, frame: Letterbox, segmenter: Segmenter, threshold: float) -> float:
    """Dice between the mask and the mask of the film at a smaller scale; 0 when both are empty."""
    side = frame.frame
    matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), 0, SMALLER)
    smaller = np.asarray(cv2.warpAffine(picture, matrix, (side, side)), np.uint8)
    again = cv2.warpAffine(
        segmenter.probability(smaller), matrix, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    left, top, right, bottom = frame.inner
    one, other = found[top:bottom, left:right] > 0, again[top:bottom, left:right] >= threshold
    total = np.count_nonzero(one) + np.count_nonzero(other)
    return float(2 * np.count_nonzero(one & other) / total) if total else 0.0
