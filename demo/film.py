"""One film: sum of depths along the beam, exposure, warp to the film's pixels, noise."""

import functools
from dataclasses import dataclass

import cv2
import numpy as np

from demo.anatomy import Anatomy, Pose
from demo.canvas import LEFT, TOP, UNIT, Image, Plane, blur, cloud
from demo.marks import add_marks
from demo.opacity import Pneumonia, draw_pneumonia
from demo.skeleton import draw_skeleton
from demo.thorax import draw_airways_and_gas, draw_body, draw_breasts, draw_lungs, draw_mediastinum
from demo.vessels import draw_vessels


@dataclass(frozen=True)
class Exposure:
    """How one film was taken and developed, independent of disease."""

    long_side: int  # pixels
    black: float  # attenuation that is shown black
    white: float  # attenuation that is shown white
    gamma: float
    scatter: float  # share of the image that is scattered radiation
    sharpening: float
    noise: float
    blur: float  # pixels


def sample_exposure(rng: np.random.Generator) -> Exposure:
    """Draw one film's technique."""
    black = rng.uniform(0.0, 0.3)
    return Exposure(
        long_side=int(np.exp(rng.uniform(np.log(400), np.log(1000)))),
        black=black,
        white=rng.uniform(1.08, 1.5),
        gamma=rng.uniform(0.75, 1.2),
        scatter=rng.uniform(0.05, 0.3),
        sharpening=rng.uniform(0.0, 0.8),
        noise=rng.uniform(0.006, 0.022),
        blur=rng.uniform(0.4, 0.9),
    )


@dataclass(frozen=True)
class Tissue:
    """The tissue that all films of a patient share."""

    markings: Plane  # vessels and fine texture: added density of the aerated lung
    mottle: Plane  # unevenness of the body's depth
    lost: Plane | None  # share of the air lost to pneumonia


@functools.lru_cache(maxsize=2)
def _tissue(anatomy: Anatomy, disease: Pneumonia | None) -> Tissue:
    rng = np.random.default_rng(anatomy.tissue_seed)
    trees = draw_vessels(anatomy, rng)
    markings = np.float32(0.17) * trees + np.float32(0.012) * cloud(rng, 0.08)
    mottle = 1 + np.float32(0.015) * cloud(rng, 0.3)
    return Tissue(markings, mottle, None if disease is None else draw_pneumonia(disease, trees))


def draw_film(
    anatomy: Anatomy, pose: Pose, exposure: Exposure, disease: Pneumonia | None, rng: np.random.Generator
) -> tuple[Plane, Image]:
    """Draw one film and its lung mask.

    Returns the film (height, width) in 0..1, bright bone on dark air, and the mask (height, width) of 0 and 255.
    """
    body_rng = np.random.default_rng(anatomy.frame_seed)
    tissue, lungs = _tissue(anatomy, disease), draw_lungs(anatomy, pose)
    air = lungs.air * (1 - draw_mediastinum(anatomy, pose))
    growth = np.float32(rng.uniform(0.8, 1.15))  # of an opacity, from one film to the next
    if tissue.lost is not None:
        air *= 1 - np.minimum(growth * tissue.lost, np.float32(0.95))
    depth = draw_body(anatomy, pose) * tissue.mottle + draw_breasts(anatomy)
    bones = draw_skeleton(anatomy, pose, body_rng) * (1 - np.float32(0.65) * lungs.abdomen)  # lost in the dense liver
    depth += bones + np.float32(anatomy.liver) * lungs.abdomen - draw_airways_and_gas(anatomy, pose, body_rng)
    depth += tissue.markings * np.minimum(2 * air, 1) - np.float32(0.8) * air
    add_marks(depth, anatomy, rng)
    columns, rows = _sampling(pose, exposure, body_rng, rng)
    grey = _expose(np.maximum(depth, 0), exposure)
    film = cv2.remap(grey, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.remap(lungs.mask, columns, rows, cv2.INTER_LINEAR)
    return _add_noise(np.asarray(film, np.float32), exposure, rng), np.where(mask > 0.5, 255, 0).astype(np.uint8)


def _expose(depth: Plane, exposure: Exposure) -> Plane:
    """From attenuation to grey: scatter lowers contrast, edge enhancement raises it, then a characteristic curve."""
    wide = blur(depth, 0.12)
    seen = depth + exposure.scatter * (wide - depth)
    seen += exposure.sharpening * (depth - blur(depth, 0.02)) + 0.25 * exposure.sharpening * (depth - wide)
    t = (seen - exposure.black) / (exposure.white - exposure.black)
    t = np.where(t < 0.8, t, 0.8 + 0.2 * np.tanh(5 * (t - 0.8)))  # the shoulder of the film's curve
    return np.asarray(np.clip(t, 0, 1) ** np.float32(exposure.gamma), np.float32)


def _sampling(
    pose: Pose, exposure: Exposure, body_rng: np.random.Generator, rng: np.random.Generator
) -> tuple[Plane, Plane]:
    """Canvas coordinates of each film pixel: window, rotation, and a smooth warp that breaks the symmetry."""
    left, top, right, bottom = pose.window
    scale = exposure.long_side / max(right - left, bottom - top)
    width, height = round((right - left) * scale), round((bottom - top) * scale)
    x = left + (np.arange(width, dtype=np.float32) + 0.5)[None, :] / scale
    y = top + (np.arange(height, dtype=np.float32) + 0.5)[:, None] / scale
    angle, cx, cy = np.radians(pose.tilt), (left + right) / 2, (top + bottom) / 2
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u, v = cx + (x - cx) * cos + (y - cy) * sin, cy + (y - cy) * cos - (x - cx) * sin
    warps = 0.012 * body_rng.standard_normal((2, 7, 7), np.float32) + 0.004 * rng.standard_normal((2, 7, 7), np.float32)
    dx, dy = (cv2.resize(warp, (width, height), interpolation=cv2.INTER_CUBIC) for warp in warps)
    return ((u + dx - LEFT) * UNIT - 0.5).astype(np.float32), ((v + dy - TOP) * UNIT - 0.5).astype(np.float32)


def _add_noise(film: Plane, exposure: Exposure, rng: np.random.Generator) -> Plane:
    """Quantum mottle, stronger where little radiation arrives (bright areas), over a little detector blur."""
    sharp = np.asarray(cv2.GaussianBlur(film, (0, 0), exposure.blur), np.float32)
    grain = np.asarray(rng.standard_normal(film.shape, np.float32))
    grain = np.float32(0.6) * grain + np.float32(0.9) * cv2.GaussianBlur(grain, (0, 0), 0.9)
    return np.asarray(np.clip(sharp + np.float32(exposure.noise) * (0.5 + sharp) * grain, 0, 1), np.float32)
