from typing import Any

import cv2
import numpy as np
import pytest

from cxr.core.errors import CxrError
from cxr.films.film import Film, reduced
from cxr.films.letterbox import Letterbox
from cxr.preprocess.config import PreprocessSection
from cxr.preprocess.prepare import draw, enhance, lung_box, prepare_film
from tests.conftest import phantom
from tests.settings import section

HASH = "80000000" + "0" * 24
CROP: dict[str, Any] = {"region": "crop", "fit": "letterbox", "image_px": 224}
PLAIN: dict[str, Any] = {**CROP, "clahe_probability": 0, "stretch": False}


def film_and_mask(width: int = 320, height: int = 256) -> tuple[Film, np.ndarray, np.ndarray]:
    """A film, its mask in the 512 frame, and its mask in its own pixels."""
    grey, mask = phantom(3, width, height)
    return Film(grey, None, 8, 0.0, {}), Letterbox(width, height, 512).mask_to_frame(mask), mask


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * np.sum((one > 0) & (other > 0)) / (np.sum(one > 0) + np.sum(other > 0)))


def test_the_image_is_grey_three_times_and_the_mask() -> None:
    film, frame_mask, _ = film_and_mask()
    image, _ = prepare_film(film, frame_mask, section(PreprocessSection, **CROP), HASH)
    assert image.shape == (224, 224, 4)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image[..., 0], image[..., 2])
    assert set(np.unique(image[..., 3])) == {0, 255}


@pytest.mark.parametrize("shape", [(320, 256), (200, 333), (1000, 700), (64, 64)])
def test_the_mask_channel_lies_on_the_lungs_that_the_image_shows(shape: tuple[int, int]) -> None:
    film, frame_mask, mask = film_and_mask(*shape)
    image, (left, top, right, bottom) = prepare_film(film, frame_mask, section(PreprocessSection, **PLAIN), HASH)
    expected = Letterbox(right - left, bottom - top, 224).mask_to_frame(mask[top:bottom, left:right])
    assert dice(image[..., 3], expected) > 0.98


def test_the_crop_is_the_lungs_with_the_margin_and_keeps_the_aspect() -> None:
    film, frame_mask, mask = film_and_mask()
    _, box = prepare_film(film, frame_mask, section(PreprocessSection, **CROP, margin=0), HASH)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    np.testing.assert_allclose(box, (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), atol=2)
    wide = lung_box(frame_mask, Letterbox(320, 256, 512), 0.1)
    assert wide[0] < box[0]
    assert wide[3] > box[3]


def test_a_margin_never_leaves_the_film() -> None:
    film, frame_mask, _ = film_and_mask()
    _, box = prepare_film(film, frame_mask, section(PreprocessSection, **CROP, margin=1), HASH)
    assert box == (0, 0, 320, 256)


def test_a_masked_film_shows_its_lungs_and_nothing_else() -> None:
    film, frame_mask, _ = film_and_mask()
    image, box = prepare_film(film, frame_mask, section(PreprocessSection, **{**PLAIN, "region": "mask"}), HASH)
    lungs = image[..., 3] > 0
    assert box == (0, 0, 320, 256)
    assert image[..., 0][lungs].any()
    assert not image[..., 0][~lungs].any()


def test_a_squashed_film_fills_the_square_and_its_mask_with_it() -> None:
    film, frame_mask, mask = film_and_mask()
    squash = {**PLAIN, "region": "none", "fit": "squash"}
    image, box = prepare_film(film, frame_mask, section(PreprocessSection, **squash), HASH)
    assert box == (0, 0, 320, 256)
    assert image[..., 0].min() > 0, "no black bars"
    assert dice(image[..., 3], cv2.resize(mask, (224, 224))) > 0.97


def test_without_a_region_the_whole_film_is_letterboxed() -> None:
    film, frame_mask, _ = film_and_mask()
    image, _ = prepare_film(film, frame_mask, section(PreprocessSection, **{**PLAIN, "region": "none"}), HASH)
    np.testing.assert_array_equal(image[..., 0], Letterbox(320, 256, 224).to_frame(film.grey))


def test_colour_is_kept_only_on_request() -> None:
    grey, mask = phantom(3, 320, 256)
    colour = np.dstack([grey, grey // 2, grey // 3])
    film = Film(grey, colour, 8, 0.5, {})
    frame_mask = Letterbox(320, 256, 512).mask_to_frame(mask)
    kept, _ = prepare_film(film, frame_mask, section(PreprocessSection, colour="rgb", **PLAIN), HASH)
    dropped, _ = prepare_film(film, frame_mask, section(PreprocessSection, colour="grey", **PLAIN), HASH)
    assert np.any(kept[..., 0] != kept[..., 1])
    np.testing.assert_array_equal(dropped[..., 0], dropped[..., 1])


def test_an_empty_mask_is_an_error() -> None:
    film, frame_mask, _ = film_and_mask()
    with pytest.raises(CxrError, match="lung mask: empty"):
        prepare_film(film, np.zeros_like(frame_mask), section(PreprocessSection, **CROP), HASH)


def test_stretching_uses_the_whole_range() -> None:
    film = (phantom(1)[0] // 4) + 60
    out = enhance(film, section(PreprocessSection, clahe_probability=0, stretch=True), HASH)
    assert (out.min(), out.max()) == (0, 255)


def test_blur_lowers_and_sharpening_raises_the_detail() -> None:
    film = phantom(1)[0]

    def detail(**changes: float) -> float:
        return float(
            cv2.Laplacian(enhance(film, section(PreprocessSection, **{**PLAIN, **changes}), HASH), cv2.CV_64F).var()
        )

    assert detail(blur_sigma=2) < detail() < detail(sharpen=1)


def test_clahe_raises_local_contrast() -> None:
    film = cv2.GaussianBlur(phantom(1)[0], (0, 0), 3) // 3 + 80
    equalised = enhance(film, section(PreprocessSection, clahe_probability=1, stretch=False), HASH)
    assert equalised.std() > film.std()


def test_clahe_is_drawn_by_film_with_the_given_probability() -> None:
    draws = [draw(f"{value:08x}" + "0" * 24) for value in np.linspace(0, 2**32 - 1, 1001).astype(np.uint64)]
    assert np.mean(np.array(draws) < 0.3) == pytest.approx(0.3, abs=0.01)
    film = phantom(1)[0]
    settings = section(PreprocessSection, clahe_probability=0.4, stretch=False)
    assert np.any(enhance(film, settings, "00000000" + "0" * 24) != film)
    np.testing.assert_array_equal(enhance(film, settings, "f0000000" + "0" * 24), film)


@pytest.mark.parametrize("region", ["crop", "none"])
@pytest.mark.parametrize("shape", [(1500, 1201), (701, 1300)])
def test_a_reduced_film_gives_nearly_the_image_of_the_whole_one(region: str, shape: tuple[int, int]) -> None:
    film, frame_mask, _ = film_and_mask(*shape)
    settings = section(PreprocessSection, **{**PLAIN, "region": region, "image_px": 144})
    (image, box), (other, other_box) = (prepare_film(one, frame_mask, settings, HASH) for one in (film, reduced(film)))
    assert box == other_box
    assert np.array_equal(image[..., 3], other[..., 3])
    assert np.abs(image[..., 0].astype(int) - other[..., 0]).mean() < 3


@pytest.mark.parametrize(("image_px", "resizing"), [(144, "reduced"), (256, "reduced"), (257, "whole")])
def test_an_image_that_needs_more_pixels_is_made_from_the_whole_film(image_px: int, resizing: str) -> None:
    assert section(PreprocessSection, image_px=image_px).resizing == resizing
