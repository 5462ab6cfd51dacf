"""The pixels of the Secondary Capture: the overlay, and below it the prediction in words."""

from collections.abc import Iterator

import cv2
import numpy as np

from cxr.films.letterbox import Image
from cxr.predict.overlay import in_film, overlay
from cxr.predict.prediction import Prediction

LONG_SIDE, LEAST_WIDTH = 1024, 640  # pixels of the film in the picture
MARGIN = 16
LARGE, SMALL, WEIGHT = 26, 19, 400  # font sizes, pixels
WHITE, YELLOW = (255, 255, 255), (255, 214, 64)
Line = tuple[str, int, tuple[int, int, int]]


def result_picture(prediction: Prediction, finding: str, bundle: str) -> Image:
    """The overlay with a panel of text, RGB (height, width, 3).

    Args:
        prediction: of one film.
        finding: class of the prediction's probability.
        bundle: version of the bundle.
    """
    film = _scaled(overlay(prediction))
    width = film.shape[1]
    lines = [part for line in _lines(prediction, finding, bundle) for part in _wrapped(line, width - 2 * MARGIN)]
    panel = np.zeros((2 * MARGIN + sum(_height(line) for line in lines), width, 3), np.uint8)
    font, base = cv2.FontFace("sans"), MARGIN  # OpenCV's own, which has accents and signs such as ×
    for line in lines:
        text, size, colour = line
        base += _height(line)
        cv2.putText(panel, text, (MARGIN, base - size // 3), colour, font, size, WEIGHT)
    return np.vstack([film, panel])


def _scaled(film: Image) -> Image:
    """The film enlarged, and centred between black bars where it is narrower than the text needs."""
    height, width = film.shape[:2]
    scale = LONG_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    large = np.asarray(cv2.resize(film, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    bars = max(0, LEAST_WIDTH - size[0])
    return np.pad(large, ((0, 0), (bars // 2, bars - bars // 2), (0, 0)))


def _lines(prediction: Prediction, finding: str, bundle: str) -> Iterator[Line]:
    yield "RESEARCH USE ONLY. Not for diagnosis or treatment.", LARGE, YELLOW
    rule = "most probable class" if prediction.threshold is None else f"threshold {prediction.threshold:.2f}"
    yield f"Prediction: {prediction.decision}", LARGE, WHITE
    yield f"Probability of {finding}: {prediction.probability:.2f} ({rule})", LARGE, WHITE
    for flag in prediction.flags:
        yield f"Flag: {flag.text}", SMALL, YELLOW
    if not prediction.flags:
        yield "No reliability flag. A prediction without flags can be wrong.", SMALL, WHITE
    lungs = "Lungs outlined. " if has_lungs(prediction) else ""
    heat = "" if prediction.activation is None else f"Colours: evidence for {finding}. "
    yield f"{lungs}{heat}Bundle {bundle[:12]}", SMALL, WHITE


def has_lungs(prediction: Prediction) -> bool:
    """Whether the mask shows lungs; otherwise it is the whole film, the fallback."""
    return not in_film(prediction, prediction.mask).all()


def _wrapped(line: Line, width: int) -> Iterator[Line]:
    """The line in pieces of at most `width` pixels, broken between words."""
    text, size, colour = line
    font, row = cv2.FontFace("sans"), ""
    for word in text.split():
        longer = f"{row} {word}".strip()
        if row and cv2.getTextSize((width, 0), longer, (0, 0), font, size, WEIGHT)[2] > width:
            yield row, size, colour
            row = word
        else:
            row = longer
    yield row, size, colour


def _height(line: Line) -> int:
    return round(line[1] * 1.35)
