"""Vascular markings: trees that grow from the hila, taper and branch. Bronchi run along the same paths."""

import math

import cv2
import numpy as np

from demo.anatomy import Anatomy
from demo.canvas import SIDE, UNIT, Image, Plane, Points, drawn, ellipse, fixed_point
from demo.thorax import LEFT, RIGHT

STEP = 0.05  # body units between bends
THINNEST = 0.0025  # body units


def draw_vessels(anatomy: Anatomy, rng: np.random.Generator) -> Plane:
    """Density of the vascular trees of both lungs, 0..1 for a vessel of the hilum's width."""
    layer = np.zeros((SIDE, SIDE), np.uint8)
    for side in (RIGHT, LEFT):
        hilum = np.array([[side * (0.14 + rng.uniform(0, 0.02)), 0.44 - 0.03 * (side == LEFT)]])
        for direction in np.linspace(-1.45, 1.5, 9) + rng.normal(0, 0.12, 9):
            _grow(layer, hilum, side, float(direction), float(rng.uniform(0.016, 0.026)), rng)
    trees = drawn(layer)
    for side in (RIGHT, LEFT):
        trees += np.float32(0.4) * np.exp(-ellipse(side * 0.15, 0.46, 0.05, 0.1, side * 0.3))
    return np.asarray(trees * np.float32(anatomy.vessels), np.float32)


def _grow(
    layer: Image,
    hilum: Points,
    side: int,
    direction: float,
    width: float,
    rng: np.random.Generator,
) -> None:
    """Draw one tree; direction in radians, 0 points outwards and positive downwards; width in body units."""
    x, y = (int(value) for value in fixed_point(hilum)[0])
    stride = STEP * UNIT * 16  # in the fixed-point pixels of the canvas
    bends, chances = rng.normal(0, 0.16, 400).tolist(), rng.random(400).tolist()
    tips, turn = [(x, y, direction, width)], 0
    while tips:
        x, y, heading, thick = tips.pop()
        while thick > THINNEST and turn < 400:
            heading += bends[turn]
            end_x, end_y = x + round(side * stride * math.cos(heading)), y + round(stride * math.sin(heading))
            pixels = thick * UNIT
            tone = round(255 * min(1.0, 0.12 + 0.07 * pixels + 0.1 * min(1.0, pixels)))
            cv2.line(layer, (x, y), (end_x, end_y), tone, max(1, round(pixels)), cv2.LINE_AA, 4)
            x, y, thick = end_x, end_y, thick * (0.8 + 0.3 * abs(bends[turn] % 0.4))
            if chances[turn] < 0.4:  # the chance also decides side and angle of the branch
                swing = 0.35 + 0.45 * (chances[turn] * 20 % 1)
                tips.append((x, y, heading + (swing if chances[turn] < 0.2 else -swing), thick * 0.7))
            turn += 1
