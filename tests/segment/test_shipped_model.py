"""The shipped model on synthetic films and, if available, on real ones."""

import random
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cxr.core.config import load_section
from cxr.films.film import reduced
from cxr.films.read import IMAGE_SUFFIXES, decode, read_source
from cxr.segment.config import SegmentSection
from cxr.segment.lungs import Lungs, find_lungs
from cxr.segment.scores import mask_scores
from cxr.segment.segmenter import LungSegmenter, load_segmenter
from demo.cohort import write_cohort
from demo.config import DemoSection
from tests.settings import machine

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "lung_segmenter.onnx"
SEGMENT = load_section("segment", SegmentSection, ROOT / "params.yaml")


@pytest.fixture(scope="module")
def segmenter() -> LungSegmenter:
    return load_segmenter(MODEL)


def lungs_and_dice(segmenter: LungSegmenter, film: Path, mask: Path) -> tuple[Lungs, float]:
    source, reference = read_source(str(film)), cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
    assert reference is not None
    lungs = find_lungs(reduced(decode(source)), segmenter, SEGMENT)
    return lungs, mask_scores(lungs.mask, lungs.frame.mask_to_frame(np.asarray(reference, np.uint8))).dice


def some(films: Iterable[Path], count: int) -> list[Path]:
    return random.Random(0).sample(sorted(films), count)


def test_the_model_is_small_enough_for_git_and_works_in_the_512_frame(segmenter: LungSegmenter) -> None:
    assert MODEL.stat().st_size <= 8e6
    assert segmenter.frame_px == 512


def test_synthetic_films_are_segmented_well(segmenter: LungSegmenter, tmp_path: Path) -> None:
    section = load_section("demo", DemoSection, ROOT / "params.yaml").model_copy(update={"patients": 12, "seed": 77})
    write_cohort(tmp_path / "demo", section, machine(workers=1))
    masks = some((tmp_path / "demo" / "lung_masks").rglob("*.png"), 12)
    dice = []
    for mask in masks:
        (film,) = (tmp_path / "demo" / mask.parent.name).rglob(f"{mask.stem}.*")
        lungs, score = lungs_and_dice(segmenter, film, mask)
        assert not lungs.reason
        dice.append(score)
    assert np.mean(dice) >= 0.85


@pytest.mark.real
def test_childrens_films_are_segmented_well(segmenter: LungSegmenter, real_data: Path) -> None:
    masks = some((real_data / "chest_xray" / "lung_masks" / "train").glob("*.png"), 30)
    train = real_data / "chest_xray" / "train"
    films = {path.stem: path for path in train.rglob("*") if path.suffix in IMAGE_SUFFIXES}
    scored = [lungs_and_dice(segmenter, films[mask.stem], mask) for mask in masks]
    assert np.mean([dice for _, dice in scored]) >= 0.94
    assert sum(bool(lungs.reason) for lungs, _ in scored) <= 1


@pytest.mark.real
def test_adults_films_are_segmented_well_although_their_masks_leave_the_heart_out(
    segmenter: LungSegmenter, real_data: Path
) -> None:
    masks = some((real_data / "montgomery" / "lung_masks").glob("*.png"), 20)
    scored = [lungs_and_dice(segmenter, real_data / "montgomery" / "images" / mask.name, mask) for mask in masks]
    assert np.mean([dice for _, dice in scored]) >= 0.87
    assert not any(lungs.reason for lungs, _ in scored)
