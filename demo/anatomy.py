"""Random anatomy of one patient within the normal range, and the pose for one film."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Anatomy:
    """One patient's chest. Lengths in body units, densities as attenuation relative to the chest's full depth."""

    child: bool
    sex: str  # F or M
    age: int  # years
    half_width: float  # midline to the lateral border of a lung
    roundness: float  # exponent of the cage's profile: higher is squarer
    gap: float  # midline to the medial border of a lung
    wall: float  # thickness of the chest wall
    neck: float  # half-width
    dome: tuple[float, float]  # height of the right and left diaphragm
    sulcus: float  # depth of the costophrenic angle below the dome
    heart: float  # scale of the cardiac silhouette
    heart_shape: tuple[float, float]  # waist and apex of the left border
    heart_edge: float  # softness of the silhouette, which beats during a long exposure
    aorta: float  # prominence of the aortic knob
    thymus: float
    rib_drop: float  # how far a rib descends from spine to front
    rib_pitch: float
    rib_width: float
    bone: float  # density of bone
    liver: float  # density of the upper abdomen beyond that of the heart
    lung: float  # depth of the aerated lung
    vessels: float  # prominence of the vascular markings
    breast: float
    clavicle: float  # lateral rise of the clavicles
    tissue_seed: int  # of vessels and texture
    frame_seed: int  # of bones and small individual irregularities


def sample_anatomy(rng: np.random.Generator) -> Anatomy:
    """Draw one patient; about half are children of one to nine years."""
    child = bool(rng.random() < 0.55)
    sex = "F" if rng.random() < 0.5 else "M"
    adult_woman = sex == "F" and not child
    right_dome = rng.uniform(0.94, 1.04)
    return Anatomy(
        child=child,
        sex=sex,
        age=int(rng.integers(1, 10)) if child else int(rng.integers(18, 86)),
        half_width=rng.uniform(0.56, 0.7) if child else rng.uniform(0.48, 0.62),
        roundness=rng.uniform(1.75, 2.1),
        gap=rng.uniform(0.08, 0.11),
        wall=rng.uniform(0.05, 0.11) if child else rng.uniform(0.07, 0.2),
        neck=rng.uniform(0.2, 0.26),
        dome=(right_dome, right_dome + rng.uniform(0.0, 0.06)),
        sulcus=rng.uniform(0.11, 0.24),
        heart=rng.uniform(0.92, 1.2) if child else rng.uniform(0.8, 1.15),
        heart_shape=(rng.uniform(0.17, 0.27), rng.uniform(0.3, 0.41)),
        heart_edge=rng.uniform(0.012, 0.045),
        aorta=rng.uniform(0.0, 0.2) if child else rng.uniform(0.2, 1.2),
        thymus=max(0.0, rng.normal(0.3, 0.6)) if child else 0.0,
        rib_drop=rng.uniform(0.24, 0.36) if child else rng.uniform(0.34, 0.52),
        rib_pitch=rng.uniform(0.098, 0.112),
        rib_width=rng.uniform(0.030, 0.044),
        bone=rng.uniform(0.85, 1.5),
        liver=rng.uniform(0.03, 0.12),
        lung=rng.uniform(0.72, 0.88),
        vessels=rng.lognormal(0.0, 0.35),
        breast=rng.uniform(0.3, 1.0) if adult_woman else 0.0,
        clavicle=rng.uniform(0.02, 0.14),
        tissue_seed=int(rng.integers(2**31)),
        frame_seed=int(rng.integers(2**31)),
    )


@dataclass(frozen=True)
class Pose:
    """How the patient stood or lay for one film."""

    shallow: float  # rise of the diaphragm with a poor inspiration, body units
    turn: float  # shift of what lies in front (heart, clavicles) against the spine
    arms_up: bool
    tilt: float  # degrees
    window: tuple[float, float, float, float]  # left, top, right, bottom in body units


def sample_pose(anatomy: Anatomy, rng: np.random.Generator) -> Pose:
    """Draw one film's pose, independent of disease."""
    reach = anatomy.half_width + anatomy.wall
    low = 1.16 + anatomy.sulcus
    return Pose(
        shallow=float(rng.beta(1.2, 4.0) * 0.28),
        turn=float(rng.normal(0, 0.018)),
        arms_up=bool(rng.random() < (0.5 if anatomy.child else 0.12)),
        tilt=float(rng.normal(0, 2.5)),
        window=(
            -reach - rng.uniform(-0.05, 0.14),
            -rng.uniform(0.06, 0.32),
            reach + rng.uniform(-0.05, 0.14),
            low + rng.uniform(-0.1, 0.14),
        ),
    )
