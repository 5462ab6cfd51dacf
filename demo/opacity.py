"""Pneumonia: the share of the lung's air that is replaced by fluid, as lobar, patchy or diffuse opacities."""

from dataclasses import dataclass

import numpy as np

from demo.anatomy import Anatomy
from demo.canvas import Plane, X, Y, cloud, edge, ellipse

PATTERNS = ("lobar", "patchy", "diffuse")


@dataclass(frozen=True)
class Focus:
    """One opacity: an ellipse in body units, and the share of the air that it replaces."""

    x: float
    y: float
    rx: float
    ry: float
    tilt: float
    strength: float


@dataclass(frozen=True)
class Pneumonia:
    """One patient's disease."""

    pattern: str
    severity: float  # 0..1
    foci: tuple[Focus, ...]
    haze: float  # strength of the diffuse part
    texture_seed: int


def sample_pneumonia(anatomy: Anatomy, rng: np.random.Generator) -> Pneumonia:
    """Draw a disease; in some patients it is subtle."""
    pattern = str(rng.choice(PATTERNS, p=(0.4, 0.35, 0.25)))
    severity = float(rng.beta(1.5, 1.1))
    strength = (0.5 if pattern == "lobar" else 0.42) + 0.45 * severity
    number = {"lobar": 1, "patchy": int(rng.integers(3, 7)), "diffuse": 0}[pattern]
    width = anatomy.half_width
    foci = []
    for _ in range(number):
        side = -1 if rng.random() < 0.5 else 1
        large = rng.uniform(0.24, 0.4) if pattern == "lobar" else rng.uniform(0.12, 0.22)
        x, y = side * width * rng.uniform(0.3, 0.72), rng.uniform(0.35, 0.95)
        rx, ry = large * rng.uniform(0.7, 1.1), large * rng.uniform(0.7, 1.2)
        foci.append(Focus(x, y, rx, ry, rng.uniform(-0.8, 0.8), strength * rng.uniform(0.75, 1.0)))
    haze = 0.34 + 0.36 * severity if pattern == "diffuse" else (0.05 + 0.2 * severity) * rng.uniform(0.3, 1.0)
    return Pneumonia(pattern, severity, tuple(foci), float(haze), int(rng.integers(2**31)))


def draw_pneumonia(disease: Pneumonia, trees: Plane) -> Plane:
    """Share of the air that is gone, 0..0.95."""
    rng = np.random.default_rng(disease.texture_seed)
    rough, fine = cloud(rng, 0.25), cloud(rng, 0.05, 2)
    gone = np.zeros_like(rough)
    for focus in disease.foci:
        q = np.sqrt(ellipse(focus.x, focus.y, focus.rx, focus.ry, focus.tilt)) + 0.16 * rough
        spot = edge(1.0 - q, 0.9 if disease.pattern == "lobar" else 1.1)
        gone += focus.strength * spot * np.clip(0.85 + 0.12 * fine, 0, 1.1)
    if disease.haze:
        reach = np.exp(-((np.abs(X) - 0.2) ** 2) / 0.09 - (Y - 0.6) ** 2 / 0.18)
        gone += disease.haze * reach * np.clip(0.6 + 0.35 * rough + 0.3 * fine, 0, 1.5)
    bronchograms = 1 - 0.35 * np.clip(trees * 1.6, 0, 1)
    return np.asarray(np.clip(gone * bronchograms, 0, 0.95), np.float32)
