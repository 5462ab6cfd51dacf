"""Films made worse in one known way each.

`CONDITIONS` are those of the table of corrupted films. `SPOILT` makes films so bad that their masks fail in part: mask
quality is fitted and tested on them.
"""

import math
from collections.abc import Callable

import cv2
import numpy as np

from cxr.films.letterbox import Image, Letterbox, binarise

Corrupt = Callable[[Image, Image], tuple[Image, Image]]
ASPECT, SOURCE_PX = 0.7, 128


def gamma(exponent: float) -> Corrupt:
    """Another exposure."""
    levels = np.rint(255 * (np.arange(256) / 255) ** exponent).astype(np.uint8)
    return lambda film, mask: (np.asarray(cv2.LUT(film, levels), np.uint8), mask)


def blur(sigma: float) -> Corrupt:
    """A moved or badly focused film; sigma in pixels of the 512 frame."""
    return lambda film, mask: (np.asarray(cv2.GaussianBlur(film, (0, 0), sigma), np.uint8), mask)


def noise(sigma: float) -> Corrupt:
    """Too low a dose; sigma in grey levels, and the noise is the same on every film."""

    def noisy(film: Image, mask: Image) -> tuple[Image, Image]:
        grain = np.random.default_rng(0).normal(0, sigma, film.shape)
        return np.clip(film + grain, 0, 255).astype(np.uint8), mask

    return noisy


def turn(degrees: float) -> Corrupt:
    """A patient who lies askew."""

    def turned(film: Image, mask: Image) -> tuple[Image, Image]:
        side = film.shape[0]
        matrix = cv2.getRotationMatrix2D((side / 2, side / 2), degrees, 1.0)
        film, mask = (np.asarray(cv2.warpAffine(picture, matrix, (side, side)), np.uint8) for picture in (film, mask))
        return film, binarise(mask)

    return turned


def squash(film: Image, mask: Image) -> tuple[Image, Image]:
    """A film whose width was lost in part, as when it is forced into a square."""
    side = film.shape[0]
    box = Letterbox(round(side * ASPECT), side, side)
    return box.to_frame(film), box.mask_to_frame(mask)


def half_black(axis: int) -> Corrupt:
    """Half the film black, from one border to the middle; lung that cannot be seen is not asked for."""

    def blackened(film: Image, mask: Image) -> tuple[Image, Image]:
        film, mask = film.copy(), mask.copy()
        for picture in (film, mask):
            view = picture if axis == 0 else picture.T
            view[math.ceil(len(view) / 2) :] = 0
        return film, mask

    return blackened


def low_resolution(film: Image, mask: Image) -> tuple[Image, Image]:
    """A source of 128 pixels."""
    small = cv2.resize(film, (SOURCE_PX, SOURCE_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, film.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8), mask


def quarter_turns(quarters: int) -> Corrupt:
    """Hung the wrong way."""

    def rotate(film: Image, mask: Image) -> tuple[Image, Image]:
        return np.ascontiguousarray(np.rot90(film, quarters)), np.ascontiguousarray(np.rot90(mask, quarters))

    return rotate


def covered(film: Image, mask: Image) -> tuple[Image, Image]:
    """A grey plate over most of the right half; the lung under it is still asked for."""
    film, side = film.copy(), film.shape[0]
    film[side // 5 : 4 * side // 5, side // 8 : side // 2] = 128
    return film, mask


CONDITIONS: dict[str, Corrupt] = {
    "none": lambda film, mask: (film, mask),
    "gamma_0.5": gamma(0.5),
    "gamma_2": gamma(2.0),
    "blur": blur(3.0),
    "noise": noise(20.0),
    "turned_15_left": turn(15),
    "turned_15_right": turn(-15),
    "squashed_0.7": squash,
    "lower_half_black": half_black(0),
    "side_half_black": half_black(1),
    "source_128_px": low_resolution,
}
SPOILT: dict[str, Corrupt] = {
    "inverted": lambda film, mask: (np.asarray(255 - film, np.uint8), mask),
    "upside_down": quarter_turns(2),
    "quarter_turn": quarter_turns(1),
    "turned_40": turn(40),
    "covered": covered,
    "blurred": blur(20.0),
    "noisy": noise(120.0),
}
