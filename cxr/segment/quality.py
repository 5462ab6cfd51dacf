"""How good a mask is, told without a reference: the Dice that may be expected of it.

The network's own probabilities tell it of a mask that is found surely: the soft Dice of mask and probability, which
costs nothing (Borges et al. 2024, *Soft Dice Confidence*). A mask that is not is looked for again, on the film made a
little smaller: gas and soft tissue that pass for lung at one size seldom do at the other, so the agreement of the two
masks tells. The tables are those of lung segmenter 1.0.0, from `python -m segmenter.quality`.
"""

import cv2
import numpy as np

from cxr.films.letterbox import Image, Letterbox
from cxr.segment.segmenter import Probability, Segmenter

SURE = 0.96  # soft Dice from which one look at the film is enough
POOR = 0.85  # Dice to expect below which a mask is flagged
SMALLER = 0.9  # the film's size at the second look
# Two rows each: soft Dice or agreement, and the Dice that goes with it.
AT_ONE_LOOK = ((0.96, 0.97, 0.98), (0.94, 0.96, 0.98))
AT_TWO_LOOKS = ((0.0, 0.8, 0.9, 0.95, 0.98, 1.0), (0.0, 0.74, 0.75, 0.82, 0.92, 0.94))


def measure(
    picture: Image, probability: Probability, found: Image, frame: Letterbox, segmenter: Segmenter, threshold: float
) -> tuple[float, float | None]:
    """Soft Dice of a mask, and where that leaves doubt the agreement with a second look; else None.

    Args:
        picture: the film in the frame, grey or RGB.
        probability: of lung, (frame, frame).
        found: the mask, 0 or 255, (frame, frame).
        frame: the film's place there.
        segmenter: looks at the film again.
        threshold: probability from which a pixel is lung.
    """
    sure = soft_dice(probability, found, frame)
    return sure, None if sure >= SURE else agreement(picture, found, frame, segmenter, threshold)


def expected_dice(sure: float, agreed: float | None) -> float:
    """The Dice to expect of a mask with these measures against what a reader would draw, 0 to 1."""
    return float(np.interp(sure, *AT_ONE_LOOK) if agreed is None else np.interp(agreed, *AT_TWO_LOOKS))


def soft_dice(probability: Probability, found: Image, frame: Letterbox) -> float:
    """2 Σpm / (Σp + Σm) of the probabilities p and the mask m on the film; 0 for an empty mask."""
    left, top, right, bottom = frame.inner
    on_film, inside = probability[top:bottom, left:right], found[top:bottom, left:right] > 0
    total = on_film.sum(dtype=np.float64) + np.count_nonzero(inside)
    return float(2 * on_film[inside].sum(dtype=np.float64) / total) if inside.any() else 0.0


def agreement(picture: Image, found: Image, frame: Letterbox, segmenter: Segmenter, threshold: float) -> float:
    """Dice of the mask and what is found on the film made smaller; 0 where there is no lung on either."""
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
