"""Perturbed copies of validation films, as from another hospital; made before any enhancement.

`corrupt` degrades a film (after ImageNet-C, Hendrycks & Dietterich 2019). `swap_acquisition` gives it the exposure,
contrast and sharpness of a film of another class. Where acquisition differs between classes, a classifier that learned
acquisition instead of the disease fails on swapped copies only.
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from cxr.films.film import Film
from cxr.films.letterbox import Image, Letterbox, shrink
from cxr.films.read import Source
from cxr.films.reduced import read_reduced

Floats = np.ndarray[Any, np.dtype[np.float64]]

CORRUPTED, SWAPPED = "corrupted", "swapped"  # kinds of copies, and splits of the NPZ set
REFERENCE_PX = 224  # longer side of a film to which blur and noise of corrupted copies refer
FRAME_PX = 512  # largest side at which a swapped copy is computed
RINGS = 41  # of the radial power spectrum
KEPT_RINGS = 2  # lowest rings, left unchanged: the coarse shapes
GAIN = 3.0  # largest factor by which a ring's amplitude is raised or lowered


@dataclass(frozen=True)
class Perturbation:
    """The kind of a perturbed copy, and its reference film."""

    kind: str  # CORRUPTED or SWAPPED
    reference: Source | None = None  # the film whose acquisition a swapped copy gets

    def image_id(self, film: str) -> str:
        """The image id of the copy."""
        return f"{film}.{self.kind}"


def perturbed(film: Film, mask: Image, copy: Perturbation, film_hash: str, longer: int) -> tuple[Film, Image]:
    """The perturbed copy of a film and of its lung mask (in the letterbox frame). Copies are always grey.

    Args:
        film: whole or reduced.
        mask: its lung mask in the letterbox frame.
        copy: the kind of the copy.
        film_hash: seeds the changes of a corrupted copy.
        longer: longest side of the copy in pixels; a larger film is reduced to it.

    Raises:
        CxrError: the reference cannot be decoded.
    """
    grey = shrink(film.grey, longer)
    if copy.kind == CORRUPTED:
        grey, mask = corrupt(grey, mask, film_hash)
    else:
        assert copy.reference is not None
        grey = swap_acquisition(grey, read_reduced(copy.reference).grey)
    return replace(film, grey=grey, colour=None, whole=None), mask


def corrupt(grey: Image, mask: Image, film_hash: str) -> tuple[Image, Image]:
    """A film with a tighter crop, other exposure, blur, lower resolution and noise, and its mask with the same crop.

    The changes are drawn from the film's hash, so that every run degrades a film equally.

    Args:
        grey: the film (height, width).
        mask: its lung mask in the letterbox frame.
        film_hash: seeds the draws.
    """
    random = np.random.default_rng(int(film_hash[:16], 16))
    crop, x, y, brightness, gamma, sigma, resolution, noise = random.random(8)
    height, width = grey.shape
    keep = 0.8 + 0.2 * crop
    new_height, new_width = max(8, round(height * keep)), max(8, round(width * keep))
    top, left = round((height - new_height) * y), round((width - new_width) * x)
    window = slice(top, top + new_height), slice(left, left + new_width)
    whole = Letterbox(width, height, mask.shape[0]).mask_to_film(mask)
    cut = np.ascontiguousarray(whole[window])
    new_mask = Letterbox(new_width, new_height, mask.shape[0]).mask_to_frame(cut)

    level = np.clip(np.arange(256) / 255 + 0.2 * (2 * brightness - 1), 0, 1) ** (2 ** (1.6 * gamma - 0.8)) * 255
    film = cv2.LUT(np.ascontiguousarray(grey[window]), np.rint(level).astype(np.uint8))
    scale = max(height, width) / REFERENCE_PX
    film = cv2.GaussianBlur(film, (0, 0), (0.3 + 1.4 * sigma) * scale)
    share = (0.4 + 0.6 * resolution) / max(1.0, scale)
    small = max(8, round(new_width * share)), max(8, round(new_height * share))
    film = cv2.resize(film, small, interpolation=cv2.INTER_AREA)
    film = cv2.resize(film, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    grain = cv2.resize(
        random.normal(0, 12 * noise, _noise_shape(new_height, new_width, scale)), (new_width, new_height)
    )
    return _grey_levels(film + grain), new_mask


def swap_acquisition(grey: Image, reference: Image) -> Image:
    """A film with the grey-level histogram and the radial power spectrum of another film.

    Args:
        grey: the film (height, width).
        reference: a film of another class, of any size.

    Returns:
        The film at the size of `grey`; computed on a square of at most FRAME_PX by FRAME_PX pixels.
    """
    height, width = grey.shape
    side = min(FRAME_PX, max(height, width))
    film, other = (_square(picture, side) for picture in (grey, reference))
    matched = np.interp(_cumulative(film), _cumulative(other) + np.arange(256) * 1e-9, np.arange(256.0))[film]
    ring = _rings(side)
    gain = np.sqrt(np.clip(_power(other, ring) / _power(matched, ring), GAIN**-2, GAIN**2))
    gain[:KEPT_RINGS] = 1
    spectrum = np.fft.rfft2(matched) * gain[ring]
    swapped = _grey_levels(np.fft.irfft2(spectrum, s=film.shape))
    return np.asarray(cv2.resize(swapped, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _noise_shape(height: int, width: int, scale: float) -> tuple[int, int]:
    """The size at which noise is drawn: its grain is one pixel at REFERENCE_PX, for films of any size."""
    return max(8, round(height / max(1.0, scale))), max(8, round(width / max(1.0, scale)))


def _square(film: Image, side: int) -> Image:
    return np.asarray(cv2.resize(film, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _cumulative(film: Image) -> Floats:
    return np.cumsum(np.bincount(film.ravel(), minlength=256)) / film.size


def _rings(side: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The ring of spatial frequency, 0 to RINGS - 1, of each element of a real FFT."""
    down, along = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    return np.asarray(np.minimum(np.rint(np.hypot(down, along) * 64), RINGS - 1), np.int64)


def _power(film: Floats | Image, ring: np.ndarray[Any, np.dtype[np.int64]]) -> Floats:
    power = np.abs(np.fft.rfft2(film)) ** 2
    total = np.bincount(ring.ravel(), power.ravel(), RINGS)
    return np.asarray(total / np.maximum(1, np.bincount(ring.ravel(), minlength=RINGS)) + 1e-3)


def _grey_levels(values: Any) -> Image:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
