import cv2
import numpy as np
import pytest

from cxr.films.letterbox import Letterbox
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import Lungs, clean, validate_mask

SIDE = 128
WHOLE = Letterbox(SIDE, SIDE, SIDE)


def postprocess(probability: np.ndarray, frame: Letterbox, settings: SegmentSection, quality: float = 1.0) -> Lungs:
    return validate_mask(probability, clean(probability, frame, settings.threshold), frame, quality, settings)


def lungs(right: int = 17, left: int = 17, middle: tuple[int, int] = (64, 64)) -> np.ndarray:
    """Probability of two elliptic lungs with the half-widths given, around a point."""
    canvas = np.zeros((SIDE, SIDE), np.float32)
    for half_width, x in ((right, middle[0] - 26), (left, middle[0] + 26)):
        if half_width:
            cv2.ellipse(canvas, (x, middle[1]), (half_width, 38), 0, 0, 360, 1.0, -1)
    return canvas


def test_two_plausible_lungs_are_kept_as_they_are(settings: SegmentSection) -> None:
    found = postprocess(lungs(), WHOLE, settings)
    assert found.reason == ""
    np.testing.assert_array_equal(found.mask, lungs().astype(np.uint8) * 255)
    assert found.area == pytest.approx(lungs().mean())
    assert found.area == pytest.approx(found.right_area + found.left_area)
    assert found.box == pytest.approx((21 / 128, 26 / 128, 108 / 128, 103 / 128))


def test_the_box_of_the_lungs_is_in_shares_of_the_film_not_of_the_frame(settings: SegmentSection) -> None:
    film = Letterbox(96, 128, SIDE)  # 16 columns of padding on each side
    assert postprocess(lungs(), film, settings).box == pytest.approx((5 / 96, 26 / 128, 92 / 96, 103 / 128))
    assert postprocess(np.zeros((SIDE, SIDE), np.float32), film, settings).box == (0, 0, 1, 1)


def test_a_third_component_and_specks_are_dropped_and_holes_are_filled(settings: SegmentSection) -> None:
    spoilt = lungs()
    spoilt[2:10, 2:10] = 1
    spoilt[60:66, 34:40] = 0
    np.testing.assert_array_equal(postprocess(spoilt, WHOLE, settings).mask, postprocess(lungs(), WHOLE, settings).mask)


def test_the_patients_right_lung_is_on_the_left_of_the_picture(settings: SegmentSection) -> None:
    found = postprocess(lungs(right=18, left=12), WHOLE, settings)
    assert found.right_area > found.left_area > 0


@pytest.mark.parametrize("middle", [44, 64, 84])
def test_lungs_that_touch_are_cut_at_their_own_centre_wherever_the_patient_lies(
    middle: int, settings: SegmentSection
) -> None:
    apart = lungs(middle=(middle, 64))
    joined = apart.copy()
    joined[60:64, middle - 10 : middle + 10] = 1
    found = postprocess(joined, WHOLE, settings)
    assert found.reason == ""
    assert found.right_area == pytest.approx(postprocess(apart, WHOLE, settings).right_area, rel=0.02)
    assert found.right_area == pytest.approx(found.left_area, rel=0.02)


@pytest.mark.parametrize(("middle", "missing"), [(50, "left lung 0%"), (78, "right lung 0%")])
def test_a_lung_without_the_other_is_not_cut_in_two(middle: int, missing: str, settings: SegmentSection) -> None:
    alone = np.zeros((SIDE, SIDE), np.float32)
    cv2.ellipse(alone, (middle, 64), (30, 40), 0, 0, 360, 1.0, -1)
    assert postprocess(alone, WHOLE, settings).reason.startswith(missing)


@pytest.mark.parametrize(
    ("probability", "reason"),
    [
        (np.zeros((SIDE, SIDE), np.float32), "no lung found"),
        (np.ones((SIDE, SIDE), np.float32), "too large"),
        (lungs(right=2, left=2), "too small"),
        (lungs(right=0, left=26), "right lung"),
        (lungs(right=26, left=0), "left lung"),
        (lungs(right=18, left=18, middle=(64, 10)), "off its centre"),
    ],
)
def test_an_implausible_mask_falls_back_to_the_whole_film(
    probability: np.ndarray, reason: str, settings: SegmentSection
) -> None:
    found = postprocess(probability.astype(np.float32), WHOLE, settings)
    assert reason in found.reason
    assert found.quality == 0
    assert found.mask.all()


def test_a_plausible_mask_of_poor_quality_falls_back_with_its_expected_dice_as_reason(settings: SegmentSection) -> None:
    poor, fair = (postprocess(lungs(), WHOLE, settings, quality) for quality in (0.49, 0.51))
    assert (poor.quality, poor.reason) == (0.49, "mask of poor quality: Dice of 0.490 expected")
    assert poor.mask.all()
    assert (fair.quality, fair.reason) == (0.51, "")
    np.testing.assert_array_equal(fair.mask, poor.found)


def test_the_fallback_covers_the_film_but_not_the_padding_around_it(settings: SegmentSection) -> None:
    box = Letterbox(200, 100, SIDE)
    found = postprocess(np.zeros((SIDE, SIDE), np.float32), box, settings)
    np.testing.assert_array_equal(found.mask, box.mask_to_frame(np.full((100, 200), 255, np.uint8)))


def test_lung_is_never_found_in_the_padding(settings: SegmentSection) -> None:
    box = Letterbox(200, 100, SIDE)
    left, top, right, bottom = box.inner
    found = postprocess(np.ones((SIDE, SIDE), np.float32), box, settings)
    assert found.found[top:bottom, left:right].all()
    assert not found.found[:top].any()
    assert not found.found[bottom:].any()
