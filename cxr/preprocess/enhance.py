"""Enhancement of 8-bit films, grey (height, width) or colour (height, width, 3)."""

import cv2
import numpy as np

from cxr.films.film import stretch
from cxr.films.letterbox import Image
from cxr.preprocess.config import PixelSection

SHARPEN_SIGMA = 2.0


def enhance(film: Image, settings: PixelSection, film_hash: str) -> Image:
    """CLAHE, blur, min-max stretching and sharpening, in this order, each as the settings say."""
    if draw(film_hash) < settings.clahe_probability:
        film = clahe(film, settings.clahe_clip, settings.clahe_tiles)
    if settings.blur_sigma > 0:
        film = _blur(film, settings.blur_sigma)
    if settings.stretch:
        film = stretch(film.astype(np.float32))
    if settings.sharpen > 0:
        blurred = _blur(film, SHARPEN_SIGMA)
        film = np.asarray(cv2.addWeighted(film, 1 + settings.sharpen, blurred, -settings.sharpen, 0), np.uint8)
    return film


def draw(film_hash: str) -> float:
    """A number in [0, 1) fixed by the film, so that a film is treated alike in every run."""
    return int(film_hash[:8], 16) / 2**32


def clahe(film: Image, clip: float, tiles: int) -> Image:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994); of colour films, the lightness."""
    equaliser = cv2.createCLAHE(clipLimit=clip, tileGridSize=(tiles, tiles))
    if film.ndim == 2:
        return np.asarray(equaliser.apply(film), np.uint8)
    lab = cv2.cvtColor(film, cv2.COLOR_RGB2LAB)
    lab[..., 0] = equaliser.apply(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def _blur(film: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(film, (0, 0), sigma), np.uint8)
