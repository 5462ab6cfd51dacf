"""Is this a frontal chest film at all, upright, with its greys the right way round? The lung segmenter is asked.

It is trained on upright films with dark lungs, so it finds lungs most surely on those. Where it is less sure than it
is on nearly every film, it sees the film's negative and its turns as well: if one of them suits it better, that is how
the film should have been. Where none does, the picture is hardly a chest. docs/predict.md has the rates.
"""

from collections.abc import Callable

import numpy as np

from cxr.films.letterbox import Image, Letterbox
from cxr.predict.prediction import Flag
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import clean
from cxr.segment.segmenter import Probability, Segmenter

SURE = 0.95  # mean probability inside the lungs; 19 of 20 upright films of three hospitals reach it
BETTER = 0.01  # by which another view must be surer
UNSURE = 0.91  # below it hardly any chest film lies, and nearly everything else

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
    picture: Image, frame: Letterbox, sure: float, segmenter: Segmenter, settings: SegmentSection
) -> Flag | None:
    """How the film seems to be turned or inverted, or that its lungs are hardly lungs; None for most films.

    Args:
        picture: the film in the frame, grey or RGB.
        frame: its place there.
        sure: `lung_confidence` of its lungs as it is.
        segmenter: finds lungs.
        settings: the bundle's.
    """
    if sure >= SURE:
        return None
    left, top, right, bottom = frame.inner
    film = picture[top:bottom, left:right]
    found = {code: _sureness_of(view(film), segmenter, settings) for code, (_, view) in VIEWS.items()}
    best = max(found, key=lambda code: found[code])
    if found[best] < sure + BETTER:
        return (
            Flag("not_frontal_chest", f"probably not a frontal chest film: mean lung probability {sure:.2f}")
            if sure < UNSURE
            else None
        )
    return Flag(best, f"{VIEWS[best][0]}: mean lung probability {sure:.2f}, {found[best]:.2f} when corrected")


def _sureness_of(film: Image, segmenter: Segmenter, settings: SegmentSection) -> float:
    height, width = film.shape[:2]
    frame = Letterbox(width, height, segmenter.frame_px)
    probability = segmenter.probability(frame.to_frame(np.ascontiguousarray(film)))
    return lung_confidence(probability, clean(probability, frame, settings.threshold))
