from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from segmenter.config import DatasetSection, PrepareSection
from segmenter.prepare import find_pairs, read_pair
from segmenter.table import read_pairs, write_pairs
from tests.conftest import phantom, write_image


def test_patients_never_cross_splits(prepare: PrepareSection) -> None:
    pairs = find_pairs(prepare)
    splits: dict[str, set[str]] = {}
    for pair in pairs:
        splits.setdefault(pair.patient, set()).add(pair.split)
    assert all(len(found) == 1 for found in splits.values())
    assert {pair.split for pair in pairs if pair.dataset == "child"} == {"train", "val", "test"}


def test_a_test_data_set_is_never_trained_on(prepare: PrepareSection) -> None:
    assert {pair.split for pair in find_pairs(prepare) if pair.dataset == "adult"} == {"test"}


def test_added_patients_move_nobody_to_another_split(prepare: PrepareSection, films: Path) -> None:
    before = {pair.film: pair.split for pair in find_pairs(prepare)}
    for part, picture in zip(("images", "masks"), phantom(1), strict=True):
        write_image(films / "child" / part / "p99_0.png", picture)
    after = {pair.film: pair.split for pair in find_pairs(prepare)}
    assert len(after) == len(before) + 1
    assert all(after[film] == split for film, split in before.items())


def test_a_squashed_film_gets_its_aspect_ratio_back(prepare: PrepareSection) -> None:
    pairs = find_pairs(prepare)
    film, mask, frame = read_pair(next(pair for pair in pairs if pair.dataset == "child"), 96)
    assert frame.inner == (0, 16, 96, 80)
    assert film[:16].max() == 0  # 960x640 fills the width and two thirds of the height
    assert film[17:79].min() > 0
    assert film[80:].max() == 0
    assert mask.shape == (96, 96)


def test_films_without_a_mask_are_passed_over(prepare: PrepareSection, films: Path) -> None:
    (films / "adult" / "masks" / "a0.png").unlink()
    assert sum(pair.dataset == "adult" for pair in find_pairs(prepare)) == 2


def test_pairs_read_back_as_written(prepare: PrepareSection, tmp_path: Path) -> None:
    pairs = find_pairs(prepare)
    write_pairs(tmp_path / "pairs.csv", pairs)
    assert read_pairs(tmp_path / "pairs.csv") == pairs


@pytest.mark.parametrize(
    ("name", "patient", "message"),
    [
        ("nobody", "x", "nobody/images: no such folder"),
        ("adult", r"patient\d+", "finds no patient; mend datasets.adult.patient"),
    ],
)
def test_a_wrong_data_set_is_one_clear_line(name: str, patient: str, message: str, prepare: PrepareSection) -> None:
    wrong = prepare.model_copy(update={"datasets": {name: DatasetSection(patient=patient, use="train")}})
    with pytest.raises(CxrError, match=message):
        find_pairs(wrong)
