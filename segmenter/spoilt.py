"""Films spoilt so badly that their masks fail in part: what the score of a mask is fitted and tested on."""

import cv2
import numpy as np

from cxr.films.letterbox import Image
from segmenter.corrupted import Corrupt, turn

BLUR_SIGMA, NOISE_SIGMA = 20.0, 120.0  # pixels of the 512 frame; grey levels


def turned(quarters: int) -> Corrupt:
    """Hung the wrong way."""

    def rotate(film: Image, mask: Image) -> tuple[Image, Image]:
        return np.ascontiguousarray(np.rot90(film, quarters)), np.ascontiguousarray(np.rot90(mask, quarters))

    return rotate


def covered(film: Image, mask: Image) -> tuple[Image, Image]:
    """A grey plate over most of the right half; the lung under it is still asked for."""
    film, side = film.copy(), film.shape[0]
    film[side // 5 : 4 * side // 5, side // 8 : side // 2] = 128
    return film, mask


def blurred(film: Image, mask: Image) -> tuple[Image, Image]:
    """Nothing but shades is left."""
    return np.asarray(cv2.GaussianBlur(film, (0, 0), BLUR_SIGMA), np.uint8), mask


def noisy(film: Image, mask: Image) -> tuple[Image, Image]:
    """More noise than film; the same noise on every film."""
    grain = np.random.default_rng(0).normal(0, NOISE_SIGMA, film.shape)
    return np.clip(film + grain, 0, 255).astype(np.uint8), mask


SPOILT: dict[str, Corrupt] = {
    "inverted": lambda film, mask: (np.asarray(255 - film, np.uint8), mask),
    "upside_down": turned(2),
    "quarter_turn": turned(1),
    "turned_40": turn(40),
    "covered": covered,
    "blurred": blurred,
    "noisy": noisy,
}
