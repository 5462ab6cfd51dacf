"""The result of the segment stage for one film: the facts of its mask, and the mask as PNG."""

from typing import Any

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.films.film import reduced
from cxr.films.letterbox import Image
from cxr.films.read import Source, decode
from cxr.films.reduced import read_reduced
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import find_lungs
from cxr.segment.scores import mask_scores
from cxr.segment.segmenter import Segmenter

ONE_BIT = (cv2.IMWRITE_PNG_BILEVEL, 1, cv2.IMWRITE_PNG_COMPRESSION, 1)  # of a mask: half the time to read and write


def segment_film(
    source: Source, reference: Source | None, segmenter: Segmenter, settings: SegmentSection
) -> tuple[dict[str, Any], bytes]:
    """The facts of a film's mask, with scores if there is a reference mask, and the mask as PNG.

    Raises:
        CxrError: the film or its reference mask cannot be decoded.
    """
    film = read_reduced(source) if settings.seg_on_gray else reduced(decode(source))
    lungs = find_lungs(film, segmenter, settings)
    facts: dict[str, Any] = {
        "area": lungs.area,
        "right_area": lungs.right_area,
        "left_area": lungs.left_area,
        **dict(zip(("left", "top", "right", "bottom"), lungs.box, strict=True)),
        "expected_dice": lungs.quality,
        "fallback": int(bool(lungs.reason)),
        "fallback_reason": lungs.reason,
    }
    if reference:
        facts |= mask_scores(lungs.mask, lungs.frame.mask_to_frame(_decode_mask(reference)))._asdict()
    ok, png = cv2.imencode(".png", lungs.mask, ONE_BIT)
    assert ok
    return facts, png.tobytes()


def _decode_mask(reference: Source) -> Image:
    mask = cv2.imdecode(np.frombuffer(reference.content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise CxrError(f"{reference.address}: reference mask cannot be decoded; replace it or set data.masks_dir: none")
    return np.asarray(mask, np.uint8)
