"""Class activation and lung outline drawn over the film."""

import cv2
import numpy as np

from cxr.core.errors import CxrError
from cxr.films.letterbox import Box, Image, Letterbox
from cxr.predict.prediction import Array, Prediction

OUTLINE = (86, 180, 233)  # RGB; a blue that contrasts with the heat map for all types of colour vision
OPACITY = 0.45


def overlay(prediction: Prediction, opacity: float = OPACITY) -> Image:
    """The film with its lungs outlined and the evidence over it, RGB (height, width, 3), without the frame's padding.

    Args:
        prediction: of one film.
        opacity: of the strongest evidence, 0 to 1.
    """
    picture, mask = in_film(prediction, prediction.picture), in_film(prediction, prediction.mask)
    colours = cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if picture.ndim == 2 else picture.copy()
    heat = heat_map(prediction)
    if heat is not None:
        inside = in_film(prediction, np.rint(heat * 255).astype(np.uint8))
        tint = cv2.cvtColor(cv2.applyColorMap(inside, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
        weight = opacity * inside[..., None].astype(np.float32) / 255
        colours = np.rint(colours * (1 - weight) + tint * weight).astype(np.uint8)
    contours, _ = cv2.findContours(np.ascontiguousarray(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    colours = np.ascontiguousarray(colours)
    cv2.drawContours(colours, contours, -1, OUTLINE, 2)
    return np.asarray(colours, np.uint8)


def overlay_png(prediction: Prediction, opacity: float = OPACITY) -> bytes:
    """The overlay as PNG."""
    ok, png = cv2.imencode(".png", cv2.cvtColor(overlay(prediction, opacity), cv2.COLOR_RGB2BGR))
    if not ok:
        raise CxrError(f"{prediction.name}: the overlay cannot be written as PNG")
    return png.tobytes()


def heat_map(prediction: Prediction) -> Array | None:
    """Evidence for the finding over the frame, 0 to 1, (frame, frame): the film's own strongest evidence is 1.

    Only evidence for the finding is shown, none against it. None for a network without class activation.
    """
    if prediction.activation is None:
        return None
    positive = np.maximum(prediction.activation, 0)
    strongest = float(positive.max())
    heat = np.zeros(prediction.picture.shape[:2], np.float32)
    if strongest == 0:
        return heat
    side = prediction.image.shape[0]
    fine = cv2.resize(positive / strongest, (side, side), interpolation=cv2.INTER_LINEAR)
    box = prediction.crop_box
    left, top, right, bottom = prediction.stored.inner
    to = box_in_frame(box, prediction.frame)
    heat[to[1] : to[3], to[0] : to[2]] = cv2.resize(
        fine[top:bottom, left:right], (to[2] - to[0], to[3] - to[1]), interpolation=cv2.INTER_LINEAR
    )
    return heat


def box_in_frame(box: Box, frame: Letterbox) -> Box:
    """A box of the film's pixels in the frame, at least one pixel wide and high."""
    left, top, right, bottom = frame.inner
    x_scale, y_scale = (right - left) / frame.width, (bottom - top) / frame.height
    x, y = left + round(box[0] * x_scale), top + round(box[1] * y_scale)
    return x, y, max(x + 1, left + round(box[2] * x_scale)), max(y + 1, top + round(box[3] * y_scale))


def in_film(prediction: Prediction, picture: Image) -> Image:
    """A picture in the frame without its padding."""
    left, top, right, bottom = prediction.frame.inner
    return np.ascontiguousarray(picture[top:bottom, left:right])
