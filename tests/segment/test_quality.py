from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import CxrError
from cxr.films.letterbox import Letterbox
from cxr.segment.config import FIRST_QUALITY, MaskQuality, SegmentSection
from cxr.segment.lungs import lungs_in_frame
from cxr.segment.quality import expected_dice, scale_agreement, soft_dice
from cxr.segment.segmenter import load_segmenter
from testing.workspace import ROOT
from tests.conftest import phantom
from tests.segment.conftest import write_dark_is_lung

MODEL = ROOT / "models" / "lung_segmenter.onnx"

SIDE = 128
FRAME = Letterbox(SIDE, SIDE, SIDE)
FILM, MASK = phantom(2, SIDE, SIDE)
SHARED = {"frame": FRAME, "threshold": 0.5}


class Dark:
    """What is dark is lung, more or less surely; films are counted."""

    frame_px = SIDE

    quality = FIRST_QUALITY

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


@pytest.mark.parametrize("tables", [FIRST_QUALITY, load_segmenter(MODEL).quality])
def test_the_expected_dice_never_falls_with_either_measure_nor_from_two_looks_to_one(tables: MaskQuality) -> None:
    once = [expected_dice(sure, None, tables) for sure in np.linspace(tables.certain, 1, 50)]
    twice = [expected_dice(0.9, agreed, tables) for agreed in np.linspace(0, 1, 50)]
    assert twice == sorted(twice)
    assert once == sorted(once)
    assert twice[0] == 0
    assert twice[-1] <= once[0] <= once[-1] <= 1
    assert tables.soft_dice[0][0] == tables.certain


def test_a_file_without_mask_quality_has_that_of_the_first_version(tmp_path: Path) -> None:
    assert load_segmenter(write_dark_is_lung(tmp_path / "first.onnx")).quality == FIRST_QUALITY
    assert load_segmenter(ROOT / "models" / "chest_xray" / "lung_segmenter.onnx").quality == FIRST_QUALITY
    assert load_segmenter(MODEL).quality != FIRST_QUALITY


def test_tables_travel_in_the_file_and_a_falling_one_is_an_error(tmp_path: Path) -> None:
    other = FIRST_QUALITY.model_copy(update={"certain": 0.5})
    path = write_dark_is_lung(tmp_path / "lungs.onnx", quality=other.model_dump_json())
    assert load_segmenter(path).quality == other
    falling = other.model_copy(update={"soft_dice": ([0.5, 1.0], [0.9, 0.8])})
    write_dark_is_lung(path, quality=falling.model_dump_json())
    with pytest.raises(CxrError, match=r"lungs\.onnx: not a lung segmenter .*soft_dice"):
        load_segmenter(path)
