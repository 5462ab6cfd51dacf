"""Flags for inverted and turned films, and for pictures other than frontal chest films, from lung confidence.

The lung segmenter is trained on upright films with dark lungs. Where lung confidence is lower than on most films, the
negative and the turned film are segmented, too. If one of them has a higher confidence, the film is flagged as inverted
or turned; if none has and the confidence is very low, it is probably not a frontal chest film. docs/predict.md has the
rates.
"""

from collections.abc import Callable

import numpy as np

from cxr.films.letterbox import Image, Letterbox
from cxr.predict.prediction import Flag
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import clean
from cxr.segment.segmenter import Probability, Segmenter

USUAL = 0.95  # lung confidence that 95 % of upright films from three hospitals reach
BETTER = 0.01  # minimum gain in confidence of another view
LOWEST = 0.91  # lung confidence that nearly all chest films reach and few other pictures do

VIEWS: dict[str, tuple[str, Callable[[Image], Image]]] = {
    "inverted": ("greys look inverted", lambda film: np.asarray(255 - film, np.uint8)),
    "turned_right": ("film looks turned by 90° clockwise", lambda film: np.rot90(film)),
    "turned_left": ("film looks turned by 90° anticlockwise", lambda film: np.rot90(film, 3)),
    "upside_down": ("film looks upside down", lambda film: np.rot90(film, 2)),
}


def lung_confidence(probability: Probability, found: Image) -> float:
    """Mean probability inside the lungs as found; 0 where there are none."""
    inside = probability[found > 0]
    return float(inside.mean()) if inside.size else 0.0


def orientation_flag(
    picture: Image, frame: Letterbox, confidence: float, segmenter: Segmenter, settings: SegmentSection
) -> Flag | None:
    """The flag of a film that appears inverted, turned or not frontal; None for most films.

    Args:
        picture: the film in the frame, grey or RGB.
        frame: its place there.
        confidence: `lung_confidence` of its lungs as it is.
        segmenter: finds lungs.
        settings: the bundle's.
    """
    if confidence >= USUAL:
        return None
    left, top, right, bottom = frame.inner
    film = picture[top:bottom, left:right]
    found = {code: _confidence_of(view(film), segmenter, settings) for code, (_, view) in VIEWS.items()}
    best = max(found, key=lambda code: found[code])
    if found[best] < confidence + BETTER:
        return (
            Flag("not_frontal_chest", f"probably not a frontal chest film: mean lung probability {confidence:.2f}")
            if confidence < LOWEST
            else None
        )
    return Flag(best, f"{VIEWS[best][0]}: mean lung probability {confidence:.2f}, {found[best]:.2f} when corrected")


def _confidence_of(film: Image, segmenter: Segmenter, settings: SegmentSection) -> float:
    height, width = film.shape[:2]
    frame = Letterbox(width, height, segmenter.frame_px)
    probability = segmenter.probability(frame.to_frame(np.ascontiguousarray(film)))
    return lung_confidence(probability, clean(probability, frame, settings.threshold))
