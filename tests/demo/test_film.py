"""What a synthetic film shows."""

from dataclasses import replace

import numpy as np
import pytest

from demo.anatomy import Anatomy, Pose, sample_anatomy, sample_pose
from demo.canvas import Image, Plane
from demo.film import Exposure, draw_film, sample_exposure
from demo.opacity import Focus, Pneumonia, sample_pneumonia

Scene = tuple[Anatomy, Pose, Exposure]


@pytest.fixture(scope="module")
def scene() -> Scene:
    rng = np.random.default_rng(11)
    anatomy = sample_anatomy(rng)
    pose = replace(sample_pose(anatomy, rng), tilt=0.0)
    return anatomy, pose, replace(sample_exposure(rng), long_side=420, noise=0.006)


def draw(scene: Scene, disease: Pneumonia | None = None) -> tuple[Plane, Image]:
    return draw_film(*scene, disease, np.random.default_rng(5))


def test_lungs_are_darker_than_the_body_around_them(scene: Scene) -> None:
    film, mask = draw(scene)
    inside = np.median(film[mask > 0])
    rows = np.flatnonzero(mask.any(axis=1))
    below = film[rows[-1] :, film.shape[1] // 3 : film.shape[1] * 2 // 3]
    assert inside + 0.2 < np.median(below)


def test_pneumonia_brightens_its_place_and_leaves_the_mask_alone(scene: Scene) -> None:
    anatomy = scene[0]
    focus = Focus(-0.5 * anatomy.half_width, 0.6, 0.2, 0.2, 0.0, 0.9)
    healthy, mask = draw(scene)
    sick, sick_mask = draw(scene, Pneumonia("lobar", 0.9, (focus,), 0.0, 3))
    gain = sick - healthy
    middle = mask.shape[1] // 2
    right, left = mask[:, :middle] > 0, mask[:, middle:] > 0
    assert np.array_equal(mask, sick_mask)
    assert gain[:, :middle][right].mean() > 0.03
    assert abs(gain[:, middle:][left].mean()) < 0.003


def test_faint_and_dense_pneumonias_both_occur(scene: Scene) -> None:
    rng = np.random.default_rng(0)
    severities = [sample_pneumonia(scene[0], rng).severity for _ in range(2000)]
    assert np.mean(np.less(severities, 0.25)) > 0.12
    assert np.mean(np.greater(severities, 0.7)) > 0.1


def test_two_films_of_a_patient_differ_in_pose_but_share_the_body(scene: Scene) -> None:
    anatomy, pose, exposure = scene
    first, _ = draw(scene)
    again, _ = draw_film(anatomy, pose, exposure, None, np.random.default_rng(5))
    other, _ = draw_film(anatomy, replace(pose, shallow=0.15), exposure, None, np.random.default_rng(5))
    stranger, _ = draw_film(
        replace(anatomy, tissue_seed=1, frame_seed=2), pose, exposure, None, np.random.default_rng(5)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, stranger)
