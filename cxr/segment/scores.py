"""Agreement of two masks: Dice, intersection over union, 95th percentile of the Hausdorff distance."""

from typing import NamedTuple

import cv2
import numpy as np

from cxr.films.letterbox import Image


class MaskScores(NamedTuple):
    """Agreement of a mask with its reference."""

    dice: float
    iou: float
    hd95: float  # pixels


def mask_scores(mask: Image, reference: Image) -> MaskScores:
    """Score a mask (0/255) against a reference of the same shape.

    Dice = 2|A∩B| / (|A|+|B|), IoU = |A∩B| / |A∪B|; both 1 when both masks are empty.
    """
    found, true = mask > 127, reference > 127
    overlap = int(np.count_nonzero(found & true))
    total = int(np.count_nonzero(found)) + int(np.count_nonzero(true))
    dice = 2 * overlap / total if total else 1.0
    iou = overlap / (total - overlap) if total else 1.0
    return MaskScores(dice, iou, hausdorff_95(found.astype(np.uint8), true.astype(np.uint8)))


def hausdorff_95(mask: Image, reference: Image) -> float:
    """95th percentile of the distances, in pixels, from each border to the other, both directions pooled.

    0 when both masks (of 0 and 1) are empty; the frame's diagonal when only one is.
    """
    borders = [_border(picture) for picture in (mask, reference)]
    if not all(border.any() for border in borders):
        same = not any(border.any() for border in borders)
        return 0.0 if same else float(np.hypot(*mask.shape))
    away = [cv2.distanceTransform((~border).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for border in borders]
    distances = np.concatenate([away[1][borders[0]], away[0][borders[1]]]).astype(float)
    distances = np.sqrt(np.rint(distances**2))  # squared pixels are whole; float32 roots differ between processors
    return float(np.percentile(distances, 95))


def _border(mask: Image) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    inside = cv2.erode(mask, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(mask > inside)
