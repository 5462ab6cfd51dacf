import cv2
import numpy as np
import pytest

from cxr.acquisition.statistics import GREY_STATISTICS, acquisition_statistics
from cxr.films.film import film_from_array
from cxr.films.letterbox import Letterbox
from cxr.films.read import Source
from cxr.preprocess.perturb import CORRUPTED, SWAPPED, Perturbation, corrupt, perturbed, swap_acquisition
from tests.conftest import phantom

HASH = "8d3f" * 8


def soft_and_pale(film: np.ndarray) -> np.ndarray:
    blurred = cv2.GaussianBlur(film, (0, 0), 3).astype(np.float32)
    return np.clip(120 + 0.4 * blurred, 0, 255).astype(np.uint8)


def test_a_swapped_film_has_the_acquisition_of_its_reference() -> None:
    film, reference = phantom(1, 220, 200)[0], soft_and_pale(phantom(2, 300, 320)[0])
    own, other, swapped = (
        dict(zip(GREY_STATISTICS, acquisition_statistics(picture), strict=True))
        for picture in (film, reference, swap_acquisition(film, reference))
    )
    for name in ("sharpness", "gradient", "contrast", "mean", "percentile_50"):
        assert abs(swapped[name] - other[name]) < 0.25 * abs(own[name] - other[name]), name


def test_a_swapped_film_keeps_its_size_and_its_lungs_where_they_were() -> None:
    film, mask = phantom(1, 220, 200)
    swapped = swap_acquisition(film, soft_and_pale(phantom(2)[0]))
    assert swapped.shape == film.shape
    assert swapped[mask > 0].mean() < swapped[mask == 0].mean()


def test_a_film_with_its_own_acquisition_hardly_changes() -> None:
    film = phantom(1, 224, 224)[0]
    assert np.abs(swap_acquisition(film, film).astype(int) - film).mean() < 1


def test_a_corrupted_film_and_its_mask_stay_together() -> None:
    film, mask = phantom(3, 200, 160)
    damaged, lungs = corrupt(film, Letterbox(200, 160, 512).mask_to_frame(mask), HASH)
    height, width = damaged.shape
    inside = Letterbox(width, height, 512).mask_to_film(lungs)
    assert 0.8 * 160 - 1 <= height <= 160
    assert damaged[inside > 0].mean() + 40 < damaged[inside == 0].mean()


def test_copies_are_drawn_from_the_films_hash_alone() -> None:
    film, mask = phantom(3)
    frame = Letterbox(160, 128, 512).mask_to_frame(mask)
    first, second, other = (corrupt(film, frame, name)[0] for name in (HASH, HASH, "1" * 32))
    assert np.array_equal(first, second)
    assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("kind", [CORRUPTED, SWAPPED])
def test_a_copy_of_a_film_with_colours_is_grey(kind: str) -> None:
    grey, mask = phantom(3)
    film = film_from_array("a.png", np.dstack([grey, grey // 2, grey]))
    ok, png = cv2.imencode(".png", phantom(4)[0])
    assert ok
    copy, _ = perturbed(
        film,
        Letterbox(160, 128, 512).mask_to_frame(mask),
        Perturbation(kind, Source("b.png", png.tobytes())),
        HASH,
        512,
    )
    assert copy.colour is None


@pytest.mark.parametrize("kind", [CORRUPTED, SWAPPED])
def test_a_copy_has_no_more_pixels_than_the_image_needs(kind: str) -> None:
    grey, mask = phantom(3, 900, 700)
    film, source = film_from_array("a.png", grey), Source("b.png", cv2.imencode(".png", phantom(4)[0])[1].tobytes())
    copy, _ = perturbed(film, Letterbox(900, 700, 512).mask_to_frame(mask), Perturbation(kind, source), HASH, 288)
    assert copy.size == copy.grey.shape[::-1]
    assert 0.8 * 288 - 1 <= max(copy.size) <= 288
