"""Mapping between a film and a square frame: aspect kept and padded with black, or squashed."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

Image = np.ndarray[Any, np.dtype[np.uint8]]
Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels; right and bottom are exclusive


@dataclass(frozen=True)
class Letterbox:
    """Geometry of a film of `width` x `height` pixels inside a square frame of side `frame`.

    With `squash` the film fills the frame and loses its aspect: there are no bars that reveal crop or detector.
    """

    width: int
    height: int
    frame: int
    squash: bool = False

    @property
    def inner(self) -> Box:
        """The film's box inside the frame."""
        if self.squash:
            return 0, 0, self.frame, self.frame
        scale = self.frame / max(self.width, self.height)
        inner_width = max(1, round(self.width * scale))
        inner_height = max(1, round(self.height * scale))
        left, top = (self.frame - inner_width) // 2, (self.frame - inner_height) // 2
        return left, top, left + inner_width, top + inner_height

    def to_frame(self, film: Image) -> Image:
        """Scale a film (height, width[, channels]) into the frame (frame, frame[, channels]).

        The film may have fewer pixels than `width` and `height`, such as a reduced one.
        """
        left, top, right, bottom = self.inner
        shrinks = max(film.shape[:2]) > self.frame
        framed = np.zeros((self.frame, self.frame, *film.shape[2:]), np.uint8)
        framed[top:bottom, left:right] = cv2.resize(
            film, (right - left, bottom - top), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        )
        return framed

    def mask_to_frame(self, mask: Image) -> Image:
        """Scale a binary mask (0/255) of the film into the frame, kept binary."""
        return binarise(self.to_frame(mask))

    def mask_to_film(self, mask: Image) -> Image:
        """Scale a binary mask (0/255) of the frame back to the film's own pixels (height, width)."""
        left, top, right, bottom = self.inner
        inner = np.ascontiguousarray(mask[top:bottom, left:right])
        film = cv2.resize(inner, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        return binarise(np.asarray(film, np.uint8))

    def box_to_film(self, box: Box) -> Box:
        """Map a box of the frame to the film's pixels: the smallest whole-pixel box that covers it, clipped."""
        left, top, right, bottom = self.inner
        x_scale, y_scale = self.width / (right - left), self.height / (bottom - top)
        return (
            int(np.clip(np.floor((box[0] - left) * x_scale), 0, self.width - 1)),
            int(np.clip(np.floor((box[1] - top) * y_scale), 0, self.height - 1)),
            int(np.clip(np.ceil((box[2] - left) * x_scale), 1, self.width)),
            int(np.clip(np.ceil((box[3] - top) * y_scale), 1, self.height)),
        )


def shrink(film: Image, longer: int) -> Image:
    """A film (height, width[, channels]) averaged over areas to a longer side of `longer` pixels; not enlarged.

    It is reduced by a whole number first, which is fast. This leaves out up to half a pixel of the result at each edge.
    """
    height, width = film.shape[:2]
    share = longer / max(height, width)
    if share >= 1:
        return film
    whole = int(1 / share)
    rows, columns = (whole * (side // whole) for side in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    if whole > 1 and min(rows, columns) > 0:
        middle = film[top : top + rows, left : left + columns]
        film = np.asarray(cv2.resize(middle, (columns // whole, rows // whole), interpolation=cv2.INTER_AREA), np.uint8)
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(cv2.resize(film, size, interpolation=cv2.INTER_AREA), np.uint8)


def binarise(mask: Image) -> Image:
    """A mask of 0 and 255, thresholded at 127."""
    return np.where(mask > 127, 255, 0).astype(np.uint8)
