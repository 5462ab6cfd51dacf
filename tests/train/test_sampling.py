from dataclasses import replace

import cv2
import numpy as np
import pytest

from cxr.acquisition.statistics import GREY_STATISTICS
from cxr.train.data import Films, FilmSet
from cxr.train.sampling import LEAST, MOST, acquisition_features, sampling_weights

SIDE, COUNT = 64, 80


def film(random: np.random.Generator, soft: bool) -> np.ndarray:
    """A film (2, side, side) of noise, with two lungs that differ in nothing."""
    grey = random.normal(128, 40, (SIDE, SIDE)).clip(0, 255).astype(np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[16:48, 10:28] = mask[16:48, 36:54] = 255
    return np.stack([cv2.GaussianBlur(grey, (0, 0), 1.5) if soft else grey, mask])


def film_set(patients: int = COUNT) -> FilmSet:
    """Pneumonia films are soft and normal films sharp, but for one in ten of each."""
    random, labels = np.random.default_rng(0), np.arange(COUNT) % 2
    soft = (labels == 1) ^ (np.arange(COUNT) // 2 % 10 == 0)
    films = Films(np.stack([film(random, one) for one in soft]), labels)
    names = [f"P{place % patients}" for place in range(COUNT)]
    return FilmSet(films, names, films, {}, ("normal", "pneumonia"), SIDE, "", "")


def test_films_whose_acquisition_speaks_against_their_label_are_drawn_more_often() -> None:
    weights, conflicting = sampling_weights(film_set()), np.arange(COUNT) // 2 % 10 == 0
    assert weights[conflicting].mean() > 2 * weights[~conflicting].mean()
    assert weights.min() >= LEAST
    assert weights.max() <= MOST


def test_of_three_classes_too_the_conflicting_films_are_drawn_more_often() -> None:
    films, conflicting = film_set(), np.arange(COUNT) // 2 % 10 == 0
    apart = films.train.labels + films.train.labels * (np.arange(COUNT) // 2 % 2)  # pneumonias of two causes, alike
    causes = replace(films, train=replace(films.train, labels=apart), classes=("normal", "bacteria", "virus"))
    weights = sampling_weights(causes)
    assert weights[conflicting].mean() > 2 * weights[~conflicting].mean()


def test_with_fewer_than_five_patients_of_a_class_films_are_drawn_equally_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert sampling_weights(film_set(patients=8)) is None
    assert "4 patients of one class, 5 are needed; add patients; the films of a class are drawn equally" in caplog.text


def test_acquisition_features_are_the_grey_levels_and_the_box_of_the_lungs() -> None:
    grey = film(np.random.default_rng(1), soft=False)
    values = acquisition_features(grey)
    assert values[: len(GREY_STATISTICS)] == pytest.approx(
        acquisition_features(grey[[0, 0, 0, 1]])[: len(GREY_STATISTICS)], abs=1e-6
    )
    left, top, right, bottom, share, shape = values[len(GREY_STATISTICS) :]
    assert (left, top, right, bottom) == (10 / SIDE, 16 / SIDE, 54 / SIDE, 48 / SIDE)
    assert share == pytest.approx(2 * 32 * 18 / SIDE**2)
    assert shape == pytest.approx(np.log(32 / 44))


def test_a_film_without_a_lung_mask_is_framed_by_its_own_sides() -> None:
    values = acquisition_features(
        np.stack([film(np.random.default_rng(1), soft=False)[0], np.zeros((SIDE, SIDE), np.uint8)])
    )
    assert values[len(GREY_STATISTICS) :].tolist() == [0, 0, 1, 1, 0, 0]
