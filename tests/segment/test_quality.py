import numpy as np
import pytest

from cxr.films.letterbox import Letterbox
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import AT_ONE_LOOK, AT_TWO_LOOKS, SURE, expected_dice, lungs_in_frame, scale_agreement, soft_dice
from tests.conftest import phantom

SIDE = 128
FRAME = Letterbox(SIDE, SIDE, SIDE)
FILM, MASK = phantom(2, SIDE, SIDE)
SHARED = {"frame": FRAME, "threshold": 0.5}


class Dark:
    """What is dark is lung, more or less surely; films are counted."""

    frame_px = SIDE

    def __init__(self, sure: float) -> None:
        self.sure, self.looks = sure, 0

    def probability(self, frame: np.ndarray) -> np.ndarray:
        self.looks += 1
        dark = (frame > 30) & (frame < 120)
        return np.where(dark, self.sure, 1 - self.sure).astype(np.float32)


class Fickle(Dark):
    """Takes the left half of the film for lung, too, but not at the second look."""

    def probability(self, frame: np.ndarray) -> np.ndarray:
        found = super().probability(frame)
        if self.looks == 1:
            found[30:100, 45:60] = self.sure
        return found


def test_soft_dice_matches_its_definition_and_counts_nothing_outside_of_the_film() -> None:
    probability = np.float32([[0.9, 0.9], [0.9, 0.3], [0.8, 0.2], [0.9, 0.9]])
    found = np.uint8([[0, 0], [255, 0], [255, 0], [0, 0]])
    frame = Letterbox(2, 1, 4)
    padded, mask = np.full((4, 4), 0.9, np.float32), np.zeros((4, 4), np.uint8)
    padded[1:3, 1:3], mask[1:3, 1:3] = probability[1:3], found[1:3]
    padded[1:3, [0, 3]] = 0
    assert soft_dice(padded, mask, frame) == pytest.approx(2 * 1.7 / (0.9 + 0.3 + 0.8 + 0.2 + 2))
    assert soft_dice(padded, np.zeros_like(mask), frame) == 0


def test_a_mask_found_again_on_the_smaller_film_agrees_with_itself() -> None:
    assert scale_agreement(FILM, MASK, segmenter=Dark(1.0), **SHARED) > 0.9


def test_lung_that_the_second_look_does_not_find_again_costs_agreement() -> None:
    spoilt = MASK.copy()
    spoilt[30:100, 45:90] = 255
    whole = scale_agreement(FILM, MASK, segmenter=Dark(1.0), **SHARED)
    assert scale_agreement(FILM, spoilt, segmenter=Dark(1.0), **SHARED) < whole - 0.1
    empty = np.zeros_like(MASK)
    assert scale_agreement(empty, empty, segmenter=Dark(1.0), **SHARED) == 0


@pytest.mark.parametrize(("sure", "looks"), [(0.999, 1), (0.9, 2)])
def test_a_second_look_is_taken_only_where_the_first_leaves_doubt(
    sure: float, looks: int, settings: SegmentSection
) -> None:
    segmenter = Dark(sure)
    lungs_in_frame(FILM, FRAME, segmenter, settings)
    assert segmenter.looks == looks


def test_a_mask_that_does_not_come_again_has_the_lower_quality(settings: SegmentSection) -> None:
    steady, fickle = (lungs_in_frame(FILM, FRAME, one(0.9), settings) for one in (Dark, Fickle))
    assert 0 < fickle.quality < steady.quality < 1


def test_the_expected_dice_never_falls_with_either_measure_nor_from_two_looks_to_one() -> None:
    once = [expected_dice(sure, None) for sure in np.linspace(SURE, 1, 50)]
    twice = [expected_dice(0.9, agreed) for agreed in np.linspace(0, 1, 50)]
    assert twice == sorted(twice)
    assert once == sorted(once)
    assert twice[0] == 0
    assert twice[-1] <= once[0] <= once[-1] <= 1
    assert AT_ONE_LOOK[0][0] == SURE
    assert len(AT_TWO_LOOKS[0]) == len(AT_TWO_LOOKS[1])
