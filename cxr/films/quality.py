"""Whether a decoded film is a chest film that can be used. Ingest and the predictor ask the same questions."""

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.films.film import Film

# DICOM's words for what can be a frontal chest film; `OT` (other) is what converters write.
MODALITIES = ("CR", "DX", "RG", "PX", "OT")
BODY_PARTS = ("CHEST", "THORA", "TORAX", "TÓRAX", "LUNG")  # as a part of the word: CHEST_PORT, THORAX
LATERAL = ("LATERAL", "LAT", "LL", "RL", "LLAT", "RLAT")
# What else a message may repeat of those attributes; other words could name somebody.
OTHER_MODALITIES = (
    "CT",
    "MR",
    "US",
    "NM",
    "PT",
    "XA",
    "RF",
    "MG",
    "IO",
    "OP",
    "ES",
    "SC",
    "SR",
    "PR",
    "KO",
    "SEG",
    "DOC",
)
OTHER_PARTS = (
    *(
        "ABDOMEN",
        "ANKLE",
        "ARM",
        "BREAST",
        "CSPINE",
        "ELBOW",
        "EXTREMITY",
        "FEMUR",
        "FINGER",
        "FOOT",
        "FOREARM",
        "HAND",
    ),
    *("HEAD", "HEART", "HIP", "HUMERUS", "JAW", "KNEE", "LEG", "LSPINE", "NECK", "PELVIS", "RIBS", "SHOULDER", "SKULL"),
    *("SPINE", "STERNUM", "TSPINE", "WRIST"),
)
MAX_ASPECT = 3.0  # longer side over shorter side; no frontal film is longer
MIN_LEVELS = 16  # distinct grey levels; masks, logos and text pages have fewer
MAX_COLOURED = 0.1  # share of pixels with a visible hue; marks on a film cover less


class Refused(CxrError):
    """A file that is sound, but no frontal chest film."""


def refusal(modality: str, body_part: str, view: str) -> str:
    """Why a picture with these DICOM attributes is no frontal chest film and what to do, or an empty string.

    An empty attribute says nothing: many archives blank them.
    """
    modality, body_part, view = (value.strip().upper() for value in (modality, body_part, view))
    if modality and modality not in MODALITIES:
        return f"not a radiograph: Modality {_told(modality, OTHER_MODALITIES)}; remove it"
    if body_part and not any(word in body_part for word in BODY_PARTS):
        return f"not a chest film: BodyPartExamined {_told(body_part, OTHER_PARTS)}; remove it"
    if view in LATERAL:
        return f"not a frontal film: ViewPosition {view}; remove it"
    return ""


def _told(value: str, known: tuple[str, ...]) -> str:
    return value if value in known else "is another word"


def unusable(film: Film, min_px: int) -> str:
    """Why a film cannot be used and what to do, in one line, or an empty string.

    `min_px`: shortest side accepted, pixels.
    """
    width, height = film.size
    short, long = sorted((height, width))
    if short < min_px:
        return f"tiny: {width}x{height}, shorter side under data.min_px = {min_px}; take a larger copy or remove it"
    if film.grey.min() == film.grey.max():
        return f"constant: every pixel is {film.grey[0, 0]}; replace or remove it"
    if film.coloured > MAX_COLOURED:
        return f"not a radiograph: {film.coloured:.0%} of the pixels are coloured; remove it"
    if long > MAX_ASPECT * short:
        return f"not a radiograph: {width}x{height} is longer than {MAX_ASPECT:g} to 1; crop or remove it"
    levels = np.count_nonzero(cv2.calcHist([film.grey], [0], None, [256], [0, 256]))
    if levels < MIN_LEVELS:
        return f"not a radiograph: {levels} grey levels; replace or remove it"
    return ""
