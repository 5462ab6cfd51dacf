"""A film as 8-bit grey, and the reasons to reject it as a chest film."""

import math
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.films.letterbox import Image, shrink

REDUCED_PX = 512  # longer side of a reduced film
# Scaling to 8 bits.
TAIL = 0.5  # percent of a deep film's pixels that may become black, and as many white
SAMPLE = 250_000  # pixels from which the percentiles are computed
# Rejection by pixels.
MAX_ASPECT = 3.0  # longer side over shorter side; no frontal film is longer
MIN_LEVELS = 16  # distinct grey levels; masks, logos and text pages have fewer
MIN_COLOUR = 24  # difference between two channels, of 255; JPEG noise on a grey film stays below
MAX_COLOURED = 0.1  # share of pixels with a visible hue; marks on a film cover less


@dataclass(frozen=True)
class Film:
    """One decoded film and the metadata of its file. Pixels may be fewer than its size says (`reduced`)."""

    grey: Image
    colour: Image | None  # (height, width, 3) RGB where the file has colour channels
    bits: int
    coloured: float  # share of pixels with a visible hue
    header: dict[str, str]  # DICOM attributes (view, sex, age); empty for other files
    burned_in: bool = False  # BurnedInAnnotation of the DICOM header: text in the pixels
    skipped: tuple[str, ...] = ()  # DICOM display attributes that cannot be used, each with its reason
    whole: tuple[int, int] | None = None  # width and height before it was reduced

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the whole film in pixels."""
        height, width = self.grey.shape
        return self.whole or (width, height)


def reduced(film: Film) -> Film:
    """A film with a longer side of at most REDUCED_PX pixels, from which its small pictures are made."""
    colour = None if film.colour is None else shrink(film.colour, REDUCED_PX)
    return replace(film, grey=shrink(film.grey, REDUCED_PX), colour=colour, whole=film.size)


def film_from_array(address: str, pixels: np.ndarray[Any, Any]) -> Film:
    """A film from grey (height, width[, 1]) or RGB (height, width, 3) pixels; raises CxrError for other shapes."""
    bits = pixels.dtype.itemsize * 8
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        pixels = _to_8_bit(pixels)
        red, green, blue = cv2.split(pixels)
        spread = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
        if not spread.any():  # a grey film stored with three equal channels
            return Film(np.asarray(red, np.uint8), None, bits, 0.0, {})
        grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
        return Film(grey, pixels, bits, float(np.mean(spread > MIN_COLOUR)), {})
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2:
        raise CxrError(f"{address}: pixels of shape {pixels.shape}, not grey, RGB or RGBA; convert or remove it")
    return Film(_to_8_bit(pixels), None, bits, 0.0, {})


def scale(
    values: np.ndarray[Any, np.dtype[np.float32]], counts: np.ndarray[Any, np.dtype[np.bool_]] | None = None
) -> Image:
    """Scale the values of a deep film linearly to 0..255 between the percentiles `TAIL` and 100 - `TAIL`.

    Percentiles instead of extremes: most films have 10 to 14 bits, and one hot pixel or burned-in letter would compress
    all other pixels into a few grey levels. Constant input gives zeros.

    Args:
        values: (height, width[, channels]).
        counts: the pixels that define the range; all by default.
    """
    step = max(1, math.isqrt(values.shape[0] * values.shape[1] // SAMPLE))
    sample = values[::step, ::step] if counts is None else values[::step, ::step][counts[::step, ::step]]
    if sample.size == 0:
        return np.zeros(values.shape, np.uint8)
    low, high = (float(value) for value in np.percentile(sample, (TAIL, 100 - TAIL), method="nearest"))
    if low == high:  # nearly all pixels are one value: a film with a large border
        low, high = float(sample.min()), float(sample.max())
    return _linear(values, low, high)


def stretch(values: np.ndarray[Any, np.dtype[np.float32]]) -> Image:
    """Scale values linearly to 0..255; constant input gives zeros."""
    return _linear(values, float(values.min()), float(values.max()))


def _linear(values: np.ndarray[Any, np.dtype[np.float32]], low: float, high: float) -> Image:
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    return np.asarray(np.clip(np.rint((values - low) * (255.0 / (high - low))), 0, 255), dtype=np.uint8)


def _to_8_bit(pixels: np.ndarray[Any, Any]) -> Image:
    """Scale deep pixels to 8 bits; 8-bit pixels are returned unchanged."""
    return pixels if pixels.dtype == np.uint8 else scale(pixels.astype(np.float32))


class NotAChestFilm(CxrError):
    """A readable file that is not a frontal chest film."""


def rejection_reason(film: Film, min_px: int) -> str:
    """Why a film cannot be used, with the remedy, in one line; empty for a usable film.

    `min_px`: shortest side accepted, pixels.
    """
    width, height = film.size
    short, long = sorted((height, width))
    if short < min_px:
        return f"tiny: {width}x{height}, shorter side under data.min_px = {min_px}; take a larger copy or remove it"
    levels = _levels(film.grey)
    if levels == 1:
        return f"constant: all pixels are {film.grey[0, 0]}; replace or remove it"
    if film.coloured > MAX_COLOURED:
        return f"not a radiograph: {film.coloured:.0%} of the pixels are coloured; remove it"
    if long > MAX_ASPECT * short:
        return f"not a radiograph: {width}x{height} is longer than {MAX_ASPECT:g} to 1; crop or remove it"
    if levels < MIN_LEVELS:
        return f"not a radiograph: {levels} grey levels; replace or remove it"
    return ""


def _levels(grey: Image) -> int:
    """How many grey levels a film has; for most films some of its pixels show that they are enough."""
    for pixels in (np.ascontiguousarray(grey[::4, ::4]), grey):
        levels = int(np.count_nonzero(cv2.calcHist([pixels], [0], None, [256], [0, 256])))
        if levels >= MIN_LEVELS:
            break
    return levels
