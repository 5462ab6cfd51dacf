"""Mapping into the square frame and back."""

import cv2
import numpy as np
import pytest

from cxr.films.letterbox import Letterbox, shrink
from tests.conftest import phantom

SHAPES = [(160, 128), (128, 160), (1000, 700), (513, 511), (512, 512), (300, 90)]


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * np.sum((one > 0) & (other > 0)) / (np.sum(one > 0) + np.sum(other > 0)))


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_the_aspect_is_kept_and_the_film_centred(width: int, height: int) -> None:
    left, top, right, bottom = Letterbox(width, height, 512).inner
    assert max(right - left, bottom - top) == 512
    assert (right - left) / (bottom - top) == pytest.approx(width / height, rel=0.01)
    assert abs(left - (512 - right)) <= 1
    assert abs(top - (512 - bottom)) <= 1


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_a_mask_returns_from_the_frame_to_the_same_place(width: int, height: int) -> None:
    _, mask = phantom(width=width, height=height)
    box = Letterbox(width, height, 512)
    back = box.mask_to_film(box.mask_to_frame(mask))
    assert back.shape == mask.shape
    assert set(np.unique(back)) == {0, 255}
    assert dice(back, mask) > 0.99


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_outside_the_film_the_frame_is_black(width: int, height: int) -> None:
    box = Letterbox(width, height, 512)
    framed = box.to_frame(np.full((height, width), 200, np.uint8))
    left, top, right, bottom = box.inner
    assert (framed[top:bottom, left:right] == 200).all()
    assert np.count_nonzero(framed) == (right - left) * (bottom - top)


@pytest.mark.parametrize(("width", "height"), SHAPES)
def test_the_films_own_box_maps_to_the_whole_film(width: int, height: int) -> None:
    box = Letterbox(width, height, 512)
    assert box.box_to_film(box.inner) == (0, 0, width, height)


def test_a_box_that_exceeds_the_film_is_clipped() -> None:
    assert Letterbox(400, 200, 512).box_to_film((-5, 0, 600, 512)) == (0, 0, 400, 200)


def test_a_mapped_box_still_covers_the_mask() -> None:
    box = Letterbox(1000, 700, 512)
    _, mask = phantom(width=1000, height=700)
    framed = box.mask_to_frame(mask)
    rows, columns = np.nonzero(framed)
    left, top, right, bottom = box.box_to_film((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    back = box.mask_to_film(framed)
    assert back[top:bottom, left:right].sum() == pytest.approx(back.sum(), rel=1e-3)


def test_colour_films_keep_their_channels() -> None:
    assert Letterbox(100, 50, 64).to_frame(np.zeros((50, 100, 3), np.uint8)).shape == (64, 64, 3)


@pytest.mark.parametrize(("width", "height"), [(1500, 1200), (1023, 700), (513, 600), (3000, 1001), (4280, 3520)])
@pytest.mark.parametrize("colours", [False, True])
def test_a_shrunk_film_is_the_average_over_areas(width: int, height: int, colours: bool) -> None:
    film = cv2.resize(phantom(1)[0], (width, height), interpolation=cv2.INTER_CUBIC)
    film = np.dstack([film, film // 2, film // 3]) if colours else film
    small = shrink(film, 512)
    expected = cv2.resize(film, small.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert max(small.shape[:2]) == 512
    assert small.shape[1] / small.shape[0] == pytest.approx(width / height, rel=0.01)
    assert np.abs(small.astype(int) - expected).mean() < 1


@pytest.mark.parametrize("shape", [(512, 400), (90, 64)])
def test_a_film_that_is_small_enough_is_left_as_it_is(shape: tuple[int, int]) -> None:
    film = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert shrink(film, 512) is film


def test_a_very_long_film_keeps_a_pixel_of_its_short_side() -> None:
    assert shrink(np.full((3, 9000), 7, np.uint8), 512).shape == (1, 512)
