"""From a film and its lung mask to the stored image: region, resize, enhancement."""

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.films.film import Film, stretch
from cxr.films.letterbox import Box, Image, Letterbox, binarise
from cxr.preprocess.config import PixelSection

SHARPEN_SIGMA = 2.0


def enhance(film: Image, settings: PixelSection, film_hash: str) -> Image:
    """CLAHE, blur, min-max stretching and sharpening, in this order, each if enabled in the settings."""
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
    """A number in [0, 1) derived from the film's hash, so that every run treats a film equally."""
    return int(film_hash[:8], 16) / 2**32


def clahe(film: Image, clip: float, tiles: int) -> Image:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994); on the lightness of colour films."""
    equaliser = cv2.createCLAHE(clipLimit=clip, tileGridSize=(tiles, tiles))
    if film.ndim == 2:
        return np.asarray(equaliser.apply(film), np.uint8)
    lab = cv2.cvtColor(film, cv2.COLOR_RGB2LAB)
    lab[..., 0] = equaliser.apply(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def _blur(film: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(film, (0, 0), sigma), np.uint8)


def prepare_film(film: Film, mask: Image, settings: PixelSection, film_hash: str) -> tuple[Image, Box]:
    """The stored image, uint8 (image_px, image_px, 4) = [R, G, B, mask], and its box in the film.

    Args:
        film: the decoded film, whole or reduced.
        mask: its lung mask, 0 or 255, in a square letterbox frame (frame, frame).
        settings: of the `preprocess` section, or of the preparation in an NPZ, checkpoint or bundle.
        film_hash: decides whether the film gets CLAHE.
    """
    width, height = film.size
    frame = Letterbox(width, height, mask.shape[0])
    box = lung_box(mask, frame, settings.margin) if settings.region == "crop" else (0, 0, width, height)
    pixels = film.grey if settings.colour == "grey" or film.colour is None else film.colour
    target = stored_frame(box, settings)
    inner = np.ascontiguousarray(target.to_frame(_part(pixels, box, film.size))[_slices(target.inner)])
    mask_channel = crop_mask(mask, frame, box, target)
    image = np.zeros((settings.image_px, settings.image_px, 4), np.uint8)
    enhanced = enhance(inner, settings, film_hash)
    image[_slices(target.inner)][..., :3] = enhanced if enhanced.ndim == 3 else enhanced[..., None]
    image[..., 3] = mask_channel
    if settings.region == "mask":
        image[..., :3][mask_channel == 0] = 0
    return image, box


def _part(pixels: Image, box: Box, size: tuple[int, int]) -> Image:
    """The pixels of a box of the film, to the nearest of a film with fewer pixels than its `size`."""
    x, y = pixels.shape[1] / size[0], pixels.shape[0] / size[1]
    left, top, right, bottom = round(box[0] * x), round(box[1] * y), round(box[2] * x), round(box[3] * y)
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def stored_frame(box: Box, settings: PixelSection) -> Letterbox:
    """The mapping of a box of the film into the stored image."""
    left, top, right, bottom = box
    return Letterbox(right - left, bottom - top, settings.image_px, settings.fit == "squash")


def lung_box(mask: Image, frame: Letterbox, margin: float) -> Box:
    """The box of the lungs in the film's pixels, extended by `margin` times its longer side and clipped to the film."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        raise CxrError("lung mask: empty; run `dvc repro --force segment`")
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    extra = round(margin * max(right - left, bottom - top))
    return frame.box_to_film((left - extra, top - extra, right + extra, bottom + extra))


def crop_mask(mask: Image, frame: Letterbox, box: Box, target: Letterbox) -> Image:
    """The mask of a box of the film, resampled once from the letterbox frame into the stored image's frame."""
    in_left, in_top, in_right, in_bottom = frame.inner
    out_left, out_top, out_right, out_bottom = target.inner
    to_frame = np.array([(in_right - in_left) / frame.width, (in_bottom - in_top) / frame.height])
    to_film = np.array([(box[2] - box[0]) / (out_right - out_left), (box[3] - box[1]) / (out_bottom - out_top)])
    scale = to_frame * to_film
    # Pixel centres lie at +0.5: stored image -> film -> letterbox frame.
    origin = (np.array([0.5, 0.5]) - [out_left, out_top]) * to_film + [box[0], box[1]]
    shift = origin * to_frame + [in_left, in_top] - 0.5
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]])
    side = (target.frame, target.frame)
    warped = cv2.warpAffine(mask, matrix, side, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    cropped = np.zeros_like(warped)
    cropped[_slices(target.inner)] = warped[_slices(target.inner)]
    return binarise(np.asarray(cropped, np.uint8))


def _slices(box: Box) -> tuple[slice, slice]:
    return slice(box[1], box[3]), slice(box[0], box[2])
