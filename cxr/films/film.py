"""A film in memory: 8-bit grey (height, width), bright bone on dark air, whatever its file looked like."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.films.letterbox import Image

MIN_COLOUR = 24  # difference between two channels, of 255, that JPEG noise on a grey film does not reach


@dataclass(frozen=True)
class Film:
    """One decoded film and what its file said about it."""

    grey: Image
    colour: Image | None  # (height, width, 3) RGB where the file has colour channels
    bits: int
    coloured: float  # share of pixels with a visible hue
    header: dict[str, str]  # DICOM attributes (view, sex, age); empty for other files

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.grey.shape
        return width, height


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
        raise CxrError(f"{address}: pixels of shape {pixels.shape}; expected grey, RGB or RGBA")
    return Film(_to_8_bit(pixels), None, bits, 0.0, {})


def stretch(values: np.ndarray[Any, np.dtype[np.float32]]) -> Image:
    """Scale values linearly to 0..255; constant input gives zeros."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    return np.asarray(np.rint((values - low) * (255.0 / (high - low))), dtype=np.uint8)


def _to_8_bit(pixels: np.ndarray[Any, Any]) -> Image:
    """Stretch 16-bit pixels over the range in use, because most hold 10 to 14 bits; 8-bit ones stay as they are."""
    return pixels if pixels.dtype == np.uint8 else stretch(pixels.astype(np.float32))
