"""Training films as they might have come: turned, squashed, badly exposed, blurred, cut off, labelled, consolidated."""

import math

import cv2
import numpy as np

from segmenter.table import Image

Rng = np.random.Generator


def augment(film: Image, mask: Image, px: int, rng: Rng) -> tuple[Image, Image]:
    """A random variant of a square film and its mask (0..255), both (px, px)."""
    film, mask = move(film, mask, px, rng)
    if rng.random() < 0.35:
        film = add_opacity(film, mask, rng)
    if rng.random() < 0.25:
        film = add_tubes(film, rng)
    film = expose(film, rng)
    if rng.random() < 0.2:
        film = add_text(film, rng)
    film = degrade(film, rng)
    if rng.random() < 0.15:
        film, mask = collimate(film, mask, rng)
    return film, mask


def move(film: Image, mask: Image, px: int, rng: Rng) -> tuple[Image, Image]:
    """Rotate, squash, zoom, shift and mirror both alike, and scale them to `px`."""
    angle = math.radians(rng.uniform(-20, 20) if rng.random() < 0.6 else rng.normal(0, 3))
    aspect = math.exp(rng.uniform(-0.45, 0.45)) if rng.random() < 0.5 else 1.0
    zoom = math.exp(rng.uniform(-0.25, 0.4))
    scale = np.diag([zoom * math.sqrt(aspect) * rng.choice([-1, 1]), zoom / math.sqrt(aspect)])
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    linear = turn @ scale * (px / film.shape[0])
    centre = np.array([px / 2, px / 2]) + rng.uniform(-0.08, 0.08, 2) * px
    matrix = np.column_stack([linear, centre - linear @ np.array(film.shape[::-1]) / 2])
    moved = (cv2.warpAffine(picture, matrix, (px, px), flags=cv2.INTER_LINEAR) for picture in (film, mask))
    film, mask = (np.asarray(picture, np.uint8) for picture in moved)
    return film, mask


def expose(film: Image, rng: Rng) -> Image:
    """Change gamma, contrast and brightness."""
    gamma = math.exp(rng.uniform(-0.9, 0.9)) if rng.random() < 0.7 else 1.0
    contrast, brightness = rng.uniform(0.6, 1.3), rng.uniform(-0.15, 0.15)
    levels = np.linspace(0, 1, 256) ** gamma
    levels = (levels - 0.5) * contrast + 0.5 + brightness
    levels[0] = 0.0  # the letterbox's padding stays black
    return np.asarray(cv2.LUT(film, np.rint(np.clip(levels, 0, 1) * 255).astype(np.uint8)), np.uint8)


def degrade(film: Image, rng: Rng) -> Image:
    """Blur, lose resolution, add noise: each now and then."""
    px = film.shape[0]
    if rng.random() < 0.2:
        film = np.asarray(cv2.GaussianBlur(film, (0, 0), rng.uniform(0.4, 2.0)), np.uint8)
    if rng.random() < 0.2:
        small = int(px / rng.uniform(1.5, 3.0))
        shrunk = cv2.resize(film, (small, small), interpolation=cv2.INTER_AREA)
        film = np.asarray(cv2.resize(shrunk, (px, px)), np.uint8)
    if rng.random() < 0.3:
        noise = rng.standard_normal(film.shape, np.float32) * rng.uniform(3, 18)
        film = np.clip(film + noise, 0, 255).astype(np.uint8)
    return film


def add_opacity(film: Image, mask: Image, rng: Rng) -> Image:
    """Whiten part of the lungs, from a patch to a whole side; the mask stays, because consolidated lung is lung."""
    rows, columns = np.nonzero(mask > 127)
    if len(rows) == 0:
        return film
    px = film.shape[0]
    veil = np.zeros(film.shape, np.float32)
    if rng.random() < 0.2:
        middle = int(np.median(columns))
        side = slice(None, middle) if rng.random() < 0.5 else slice(middle, None)
        veil[:, side] = mask[:, side] / 255.0
    else:
        for _ in range(rng.integers(1, 4)):
            chosen = rng.integers(len(rows))
            axes = tuple(int(axis) for axis in rng.uniform(0.04, 0.22, 2) * px + 1)
            centre = (int(columns[chosen]), int(rows[chosen]))
            cv2.ellipse(veil, centre, axes, float(rng.uniform(0, 180)), 0, 360, 1.0, -1)
    veil = cv2.GaussianBlur(veil, (0, 0), rng.uniform(0.01, 0.05) * px) * rng.uniform(0.3, 0.95)
    white = float(np.quantile(film, rng.uniform(0.75, 0.97)))
    return np.where(film < white, film + veil * (white - film), film).astype(np.uint8)


def add_tubes(film: Image, rng: Rng) -> Image:
    """Draw lines, tubes and leads: bright curves across the film."""
    px = film.shape[0]
    film = film.copy()
    for _ in range(rng.integers(1, 4)):
        steps = rng.normal(0, 0.06, (12, 2)) + rng.normal(0, 0.06, 2)
        curve = (rng.uniform(0, 1, 2) + np.cumsum(steps, axis=0)) * px
        bright = int(rng.integers(150, 256))
        points = [np.rint(curve).astype(np.int32)]
        cv2.polylines(film, points, False, bright, int(rng.integers(1, 3)), cv2.LINE_AA)
    return film


def add_text(film: Image, rng: Rng) -> Image:
    """Write a side mark or a label, bright or in a box."""
    px = film.shape[0]
    film = film.copy()
    text = str(rng.choice(["R", "L", "PA", "AP", "ERECT", "SUPINE", "PORTABLE", "12:40"]))
    at = (int(rng.uniform(0.02, 0.85) * px), int(rng.uniform(0.08, 0.98) * px))
    grey = 255
    if rng.random() < 0.4:
        cv2.rectangle(film, (at[0] - 2, at[1] - px // 14), (at[0] + 6 * len(text), at[1] + 2), 255, -1)
        grey = 0
    cv2.putText(film, text, at, cv2.FONT_HERSHEY_SIMPLEX, float(rng.uniform(0.3, 0.8)), grey, 1, cv2.LINE_AA)
    return film


def collimate(film: Image, mask: Image, rng: Rng) -> tuple[Image, Image]:
    """Black out a strip of up to half the film from one border; lung that cannot be seen is not asked for."""
    px = film.shape[0]
    depth = int(rng.uniform(0.05, 0.5) * px)
    side = int(rng.integers(4))
    film, mask = (np.rot90(picture, side).copy() for picture in (film, mask))
    film[:depth], mask[:depth] = 0, 0
    return np.ascontiguousarray(np.rot90(film, -side)), np.ascontiguousarray(np.rot90(mask, -side))
