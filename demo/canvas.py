"""The plane that anatomy is drawn on.

Body units: the lungs are about one unit high. x = 0 is the midline and grows to the right of the image (the patient's
left); y = 0 is the level of the lung apices and y = 1 that of the diaphragm. The canvas samples this plane; the pose of
a film then takes its pixels from the canvas.
"""

from typing import Any

import cv2
import numpy as np

Plane = np.ndarray[Any, np.dtype[np.float32]]  # (SIDE, SIDE), a quantity at each point of the canvas
Image = np.ndarray[Any, np.dtype[np.uint8]]
Points = np.ndarray[Any, np.dtype[np.float64]]  # (n, 2), x and y in body units

UNIT = 256  # pixels per body unit
LEFT, TOP = -1.15, -0.65  # body units at the canvas origin
SIDE = 589  # pixels
X: Plane = (LEFT + (np.arange(SIDE) + 0.5) / UNIT).astype(np.float32)[None, :]
Y: Plane = (TOP + (np.arange(SIDE) + 0.5) / UNIT).astype(np.float32)[:, None]
_SHIFT = 4  # fractional bits of the coordinates that OpenCV draws with


def fixed_point(points: Points) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Body units as the fixed-point pixels that OpenCV draws with."""
    pixels = (points - (LEFT, TOP)) * UNIT - 0.5
    return np.rint(pixels * (1 << _SHIFT)).astype(np.int32)


def add_polygon(plane: Plane, outline: Points, inside: float, rim: float, rim_px: int = 2) -> None:
    """Add a filled outline to a plane: `inside` within and `rim` along its border (cortical bone is denser)."""
    corners = fixed_point(outline)
    low = np.maximum((corners.min(axis=0) >> _SHIFT) - rim_px - 2, 0)
    high = np.minimum((corners.max(axis=0) >> _SHIFT) + rim_px + 3, SIDE)
    if (low >= high).any():
        return
    layer = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    local = [(corners - (low << _SHIFT)).astype(np.int32)]
    top = max(inside, rim)
    cv2.fillPoly(layer, local, round(255 * inside / top), cv2.LINE_AA, _SHIFT)
    if rim > 0:
        cv2.polylines(layer, local, True, round(255 * rim / top), rim_px, cv2.LINE_AA, _SHIFT)
    plane[low[1] : high[1], low[0] : high[0]] += layer.astype(np.float32) * np.float32(top / 255)


def ribbon(centre: Points, width: np.ndarray[Any, Any]) -> Points:
    """The outline of a band of varying width (n,) around a centre line (n, 2)."""
    along = np.gradient(centre, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    offset = np.stack([-along[:, 1], along[:, 0]], axis=1) * (np.asarray(width)[:, None] / 2)
    return np.concatenate([centre + offset, (centre - offset)[::-1]])


def smooth_line(knots: list[tuple[float, float]], n: int = 24) -> Points:
    """A smooth curve of n points through some knots, by corner cutting."""
    points = np.asarray(knots, float)
    for _ in range(3):
        cut = np.stack([0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]], axis=1)
        points = np.concatenate([points[:1], cut.reshape(-1, 2), points[-1:]])
    picks = np.linspace(0, len(points) - 1, n)
    return np.stack([np.interp(picks, np.arange(len(points)), points[:, axis]) for axis in (0, 1)], axis=1)


def edge(distance: Plane, width: float) -> Plane:
    """A soft step over `width` body units: 0 well outside (negative distance), 1 well inside."""
    t = np.clip(np.asarray(distance, np.float32) * np.float32(1 / width) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def ellipse(x: float, y: float, rx: float, ry: float, tilt: float = 0.0) -> Plane:
    """Squared relative distance from an ellipse's centre, 1 at its border; tilt in radians."""
    cos, sin = np.float32(np.cos(tilt)), np.float32(np.sin(tilt))
    u, v = X - np.float32(x), Y - np.float32(y)
    return np.asarray(((u * cos + v * sin) / np.float32(rx)) ** 2 + ((v * cos - u * sin) / np.float32(ry)) ** 2)


def cloud(rng: np.random.Generator, grain: float, octaves: int = 3) -> Plane:
    """Smooth random texture of zero mean and about unit spread; `grain` is its largest detail in body units."""
    total = np.zeros((SIDE, SIDE), np.float32)
    for octave in range(octaves):
        cells = int(np.ceil(SIDE / UNIT / grain * 2**octave)) + 3
        noise = rng.standard_normal((cells, cells), np.float32)
        total += cv2.resize(noise, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) * np.float32(0.6**octave)
    return total


def drawn(layer: Image) -> Plane:
    """An 8-bit drawing as a plane of 0..1, its jagged edges softened."""
    return blur(layer.astype(np.float32) / np.float32(255), 0.003)


def blur(plane: Plane, sigma: float) -> Plane:
    """Gaussian blur; sigma in body units. Wide blurs use a smaller copy, with no visible difference."""
    pixels = sigma * UNIT
    if pixels < 6:
        return np.asarray(cv2.GaussianBlur(plane, (0, 0), pixels), np.float32)
    factor = int(pixels // 3)
    small = cv2.resize(plane, (SIDE // factor, SIDE // factor), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), pixels / factor)
    return np.asarray(cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.float32)
