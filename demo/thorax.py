"""Soft tissue and air of the chest as depths along the beam: body, lungs, heart and mediastinum, abdomen."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from demo.anatomy import Anatomy, Pose
from demo.canvas import Plane, X, Y, blur, cloud, edge, ellipse

Profile = np.ndarray[Any, Any]
RIGHT, LEFT = -1, 1  # sign of x on the patient's right and left side
CRISP = 0.008  # width of a sharp border, body units


@dataclass(frozen=True)
class Lungs:
    """Both lungs: their mask, and the depth of air along the beam."""

    mask: Plane  # 0..1
    air: Plane  # depth
    abdomen: Plane  # 0..1, what lies below the domes of the diaphragm


def cage_half_width(anatomy: Anatomy, y: Profile) -> Profile:
    """Midline to the inner side of the ribs at height y: a superellipse that opens downwards."""
    rise = np.clip(1 - y / 1.02, 0, 1) ** anatomy.roundness
    return np.asarray(anatomy.half_width * (1 - rise) ** (1 / anatomy.roundness) * (1 - 0.06 * np.clip(y - 1.02, 0, 1)))


def dome_level(anatomy: Anatomy, pose: Pose, lung: int, across: Profile) -> Profile:
    """Height of the diaphragm at a lateral distance from the midline; lung 0 is the right one."""
    crest = 0.42 * anatomy.half_width
    top = anatomy.dome[lung] - pose.shallow
    outward = np.clip((across - crest) / (anatomy.half_width - crest), 0, 1.2)
    inward = np.clip((crest - across) / crest, 0, 1)
    return np.asarray(top + anatomy.sulcus * (outward**2.6 + 0.4 * inward**1.6))


def draw_lungs(anatomy: Anatomy, pose: Pose) -> Lungs:
    """The lung fields, including the part behind the heart."""
    across = np.abs(X)
    lateral = cage_half_width(anatomy, Y).astype(np.float32)
    medial = (anatomy.gap + 0.1 * np.clip(1 - Y / 0.17, 0, 1) ** 2).astype(np.float32)
    right, left = (dome_level(anatomy, pose, lung, across) for lung in (0, 1))
    dome = np.where(X < 0, right, left).astype(np.float32)
    within = edge(lateral - across, CRISP)
    above = dome - Y
    mask = within * edge(across - medial, CRISP) * edge(above, CRISP)
    chord = np.sqrt(np.clip(1 - (across / (lateral + np.float32(1e-3))) ** 2, 0, 1))
    apex = np.sqrt(np.clip(Y / 0.4, 0.02, 1)).astype(np.float32)
    base = np.float32(0.62) + np.float32(0.38) * np.clip(above / 0.3, 0, 1)
    base = base * (1 - np.float32(1.2 * pose.shallow) * np.clip(Y / 0.7, 0, 1))  # little air, crowded vessels
    recess = np.float32(0.1) * np.clip(1 + above / 0.18, 0, 1) * (above < 0) * edge(across - np.float32(0.2), 0.1)
    air = np.float32(anatomy.lung) * chord * (mask * apex * base + recess * within)
    return Lungs(mask, air, edge(-above - np.float32(0.02), 0.05) * edge(lateral - across, 0.12))


def draw_mediastinum(anatomy: Anatomy, pose: Pose) -> Plane:
    """Share of the lung's depth that heart and mediastinum take up, 0..1."""
    size, knob, sail = anatomy.heart, 0.05 * anatomy.aorta, 0.1 * anatomy.thymus
    waist, apex = anatomy.heart_shape  # left border: fullness below the hilum, and how far out the apex lies
    right = [(0, 0.1), (0.2, 0.105 + 0.4 * sail), (0.42, 0.115), (0.55, 0.14 * size), (0.74, 0.2 * size)]
    right += [(0.92, 0.18 * size), (1.05, 0.15 * size), (1.7, 0.14)]
    left = [(0, 0.1), (0.2, 0.105 + sail), (0.27, 0.115 + knob + sail), (0.36, 0.11 + 0.5 * sail), (0.46, 0.14)]
    left += [(0.6, waist * size), (0.74, (0.45 * waist + 0.55 * apex) * size), (0.88, apex * size)]
    left += [(1.0, 0.93 * apex * size), (1.15, 0.25), (1.7, 0.15)]
    off = X - np.float32(pose.turn)
    contour = np.where(off < 0, _border(right, pose), _border(left, pose))
    across = np.abs(off)
    bulk = np.sqrt(np.clip(1 - (across / contour) ** 2, 0, 1))
    deep = (0.2 * np.clip((Y - 0.3) / 0.3, 0, 1)).astype(np.float32)
    return np.asarray(edge(contour - across, anatomy.heart_edge) * (0.5 + deep + (np.float32(0.45) - deep) * bulk))


def _border(knots: list[tuple[float, float]], pose: Pose) -> Profile:
    """Distance of the silhouette from the midline at each height (SIDE, 1), smooth; the heart rises with the dome."""
    levels = [y * (1 - pose.shallow) if y > 0.5 else y for y, _ in knots]
    border = np.interp(Y[:, 0], levels, [x for _, x in knots])
    kernel = np.hanning(25)[1:-1]
    smooth = np.convolve(np.pad(border, 11, mode="edge"), kernel / kernel.sum(), "valid")
    return smooth[:, None].astype(np.float32)


def draw_body(anatomy: Anatomy, pose: Pose) -> Plane:
    """Depth of the trunk, neck, shoulders and arms along the beam, 1 at the middle of the chest."""
    reach, neck = anatomy.half_width + anatomy.wall, anatomy.neck
    levels = [-0.7, -0.34, -0.2, -0.08, 0.06, 0.4, 1.0, 1.7]
    widths = [neck, neck * 1.04, neck * 1.5, 0.86 * reach, reach, reach, reach * 1.01, reach * 1.03]
    half = np.interp(Y, levels, widths).astype(np.float32)
    depth = np.interp(Y, [-0.7, -0.25, 0.1, 0.5, 0.9, 1.15, 1.7], [0.72, 0.78, 0.92, 1.0, 1.06, 1.26, 1.3])
    body = depth.astype(np.float32) * np.sqrt(np.clip(1 - (X / half) ** 2, 0, 1))
    limb = np.float32(0.11 + 0.5 * anatomy.wall)
    for side in (RIGHT, LEFT):
        shoulder = np.array([side * (reach + 0.04), 0.05], np.float32)
        axis = np.array([side * (reach + 0.22), -0.75 if pose.arms_up else 1.3], np.float32) - shoulder
        u, v = X - shoulder[0], Y - shoulder[1]
        along = np.clip((u * axis[0] + v * axis[1]) / (axis @ axis), 0, 1)
        off = (u - along * axis[0]) ** 2 + (v - along * axis[1]) ** 2
        body = np.maximum(body, np.float32(0.62) * np.sqrt(np.clip(1 - off / limb**2, 0, 1)))
    return blur(body, 0.012)


def draw_breasts(anatomy: Anatomy) -> Plane:
    """Added depth of breast tissue, a crescent over each lower zone with a sharp lower border."""
    total = np.zeros_like(X + Y)
    if anatomy.breast:
        for side in (RIGHT, LEFT):
            q = ellipse(side * 0.58 * anatomy.half_width, 0.72, 0.75 * anatomy.half_width, 0.34, side * 0.25)
            total += np.sqrt(np.clip(1 - q, 0, 1)) * np.clip(0.4 + (Y - 0.5) * 1.5, 0, 1)
    return np.asarray(0.22 * anatomy.breast * total, np.float32)


def draw_airways_and_gas(anatomy: Anatomy, pose: Pose, rng: np.random.Generator) -> Plane:
    """Depth of air outside the lungs: trachea, main bronchi, stomach bubble and bowel gas."""
    trachea = edge(0.032 - np.abs(X - np.float32(0.6 * pose.turn)), 0.02) * edge(0.34 - Y, 0.06)
    gas = 0.14 * trachea
    for side in (RIGHT, LEFT):
        gas = gas + 0.07 * edge(1 - ellipse(side * 0.06, 0.385, 0.075, 0.02, side * 0.7), 0.6)
    bowel = cloud(rng, 0.22, 2)
    if rng.random() < 0.7:
        top = anatomy.dome[1] - pose.shallow
        x, y, wide = rng.uniform(0.18, 0.36), top + rng.uniform(0.09, 0.16), rng.uniform(0.06, 0.17)
        bubble = ellipse(x, y, wide, rng.uniform(0.045, 0.1), rng.uniform(-0.6, 0.1)) + np.float32(0.25) * bowel
        gas = gas + rng.uniform(0.06, 0.3) * edge(1 - bubble, 0.9)
    below = np.clip((Y - 1.22) / 0.2, 0, 1)
    return np.asarray(gas + rng.uniform(0.0, 0.16) * below * np.clip(bowel - 0.6, 0, 1), np.float32)
