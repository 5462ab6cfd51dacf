"""Bones, as densities along the beam: ribs are tilted loops seen from the front, so both of their arcs appear."""

import numpy as np

from demo.anatomy import Anatomy, Pose
from demo.canvas import Plane, Points, X, Y, add_polygon, blur, ribbon, smooth_line
from demo.thorax import LEFT, RIGHT, cage_half_width

RIBS = 12
BACK = np.linspace(0.02, 0.52, 20) * np.pi  # angle around the loop, 0 at the spine
FRONT = np.linspace(0.5, 0.8, 14) * np.pi


def draw_skeleton(anatomy: Anatomy, pose: Pose, rng: np.random.Generator) -> Plane:
    """Added density of the whole skeleton in the film."""
    bones = np.zeros_like(X + Y)
    _ribs(bones, anatomy, pose, rng)
    _spine(bones, anatomy)
    for side in (RIGHT, LEFT):
        _clavicle(bones, anatomy, pose, side)
        _shoulder(bones, anatomy, pose, side)
    return blur(np.float32(anatomy.bone) * bones, 0.0045)


def _ribs(bones: Plane, anatomy: Anatomy, pose: Pose, rng: np.random.Generator) -> None:
    for side in (RIGHT, LEFT):
        for number in range(1, RIBS + 1):
            start = -0.09 + anatomy.rib_pitch * number + rng.normal(0, 0.003)
            drop = anatomy.rib_drop * (0.55 + 0.07 * number) * (1 - pose.shallow)
            level = np.asarray(start + 0.42 * drop)
            radius = float(cage_half_width(anatomy, level)) + 0.012
            if number > 10:  # floating ribs end early
                drop, radius = 0.75 * drop, radius * 0.98
            back = _loop(BACK, start, drop, radius, side, 0.0)
            width = anatomy.rib_width * np.interp(BACK, [0, 0.8, 1.63], [0.8, 1.05, 0.85])
            add_polygon(bones, ribbon(back, width), 0.075, 0.125)
            if number <= 9:
                front = _loop(FRONT, start, drop, radius, side, pose.turn)
                width = anatomy.rib_width * np.interp(FRONT, [1.57, 2.5], [0.85, 1.25])
                add_polygon(bones, ribbon(front, width), 0.04, 0.06)


def _loop(angle: Points, start: float, drop: float, radius: float, side: int, turn: float) -> Points:
    """Points of a rib: an ellipse around the chest that sinks from the spine to the sternum."""
    forward = (1 - np.cos(angle)) / 2
    x = side * (0.015 + (radius - 0.015) * np.sin(angle)) + turn * forward
    y = start + drop * forward - 0.04 * np.sin(2 * angle) * (angle < np.pi / 2)
    return np.stack([x, y], axis=1)


def _spine(bones: Plane, anatomy: Anatomy) -> None:
    half = 0.78 * anatomy.gap
    for index in range(-6, 16):
        y = -0.09 + anatomy.rib_pitch * (index + 0.1)
        wide, tall = half * (1 + 0.012 * index), 0.4 * anatomy.rib_pitch
        corner = np.linspace(0, 2 * np.pi, 28)
        body = np.stack([wide * _square(np.cos(corner)), y + tall * _square(np.sin(corner))], axis=1)
        add_polygon(bones, body, 0.05, 0.085)
        for x in (-0.62 * wide, 0.62 * wide):
            add_polygon(bones, np.stack([x + 0.016 * np.cos(corner), y - 0.012 + 0.02 * np.sin(corner)], 1), 0.02, 0.07)
        spinous = np.stack([0.012 * np.cos(corner), y + 0.03 + 0.022 * np.sin(corner)], axis=1)
        add_polygon(bones, spinous, 0.045, 0.06)
        for side in (RIGHT, LEFT):
            process = smooth_line([(side * wide * 0.8, y - 0.01), (side * (wide + 0.035), y - 0.022)], 6)
            add_polygon(bones, ribbon(process, np.full(6, 0.026)), 0.035, 0.05)
    bones += np.float32(0.05) * (np.abs(X) < half)


def _square(unit: Points) -> Points:
    return np.asarray(np.sign(unit) * np.abs(unit) ** 0.45)


def _clavicle(bones: Plane, anatomy: Anatomy, pose: Pose, side: int) -> None:
    shoulder, rise = 0.9 * (anatomy.half_width + anatomy.wall), anatomy.clavicle
    if pose.arms_up:
        rise += 0.12
    inner = 0.07
    knots = [(inner, 0.11), (0.22, 0.1 - 0.3 * rise), (0.42, 0.03 - 0.9 * rise), (shoulder, 0.02 - rise)]
    line = smooth_line([(side * x + pose.turn, y) for x, y in knots], 30)
    width = 0.04 * np.interp(np.arange(30), [0, 5, 20, 29], [1.3, 0.9, 0.8, 1.1])
    add_polygon(bones, ribbon(line, width), 0.09, 0.15)


def _shoulder(bones: Plane, anatomy: Anatomy, pose: Pose, side: int) -> None:
    """Scapula and humerus; with the arms up the scapula is lateral to the lungs."""
    edge_x = anatomy.half_width * (0.98 if pose.arms_up else 0.84)
    outer = anatomy.half_width + anatomy.wall + 0.02
    blade = [(edge_x - 0.06, 0.05), (edge_x + 0.02, 0.4), (edge_x + 0.08, 0.56), (edge_x + 0.14, 0.34), (outer, 0.08)]
    blade += [(outer - 0.02, 0.0), (edge_x - 0.06, 0.05)]
    add_polygon(bones, smooth_line([(side * x, y) for x, y in blade], 40), 0.035, 0.1)
    ridge = smooth_line([(side * (edge_x - 0.03), 0.14), (side * (outer - 0.04), 0.0), (side * (outer + 0.04), -0.06)])
    add_polygon(bones, ribbon(ridge, np.full(24, 0.03)), 0.05, 0.09)
    head, turn = np.array([side * (outer + 0.06), 0.05]), np.linspace(0, 2 * np.pi, 30)
    add_polygon(bones, head + 0.07 * np.stack([np.cos(turn), np.sin(turn)], axis=1), 0.12, 0.2)
    elbow = (side * (outer + 0.22), -0.75 if pose.arms_up else 1.3)
    shaft = smooth_line([(float(head[0]), float(head[1])), elbow])
    add_polygon(bones, ribbon(shaft, np.full(24, 0.07)), 0.1, 0.22, 4)
