from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import CxrError
from cxr.npz.films import INDEX, NpzFilm, NpzRow, encode_npz, read_index, read_npz, write_index

FILM = NpzFilm(
    image=np.arange(8 * 8 * 4, dtype=np.uint8).reshape(8, 8, 4),
    label=1,
    image_id="a",
    patient_id="P1",
    classes=("normal", "pneumonia"),
    film_hash="0" * 32,
    crop_box=(1, 2, 30, 40),
    film_size=(50, 60),
    spec='{"region":"crop"}',
)


def test_a_film_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(encode_npz(FILM))
    back = read_npz(path)
    np.testing.assert_array_equal(back.image, FILM.image)
    assert {**vars(back), "image": 0} == {**vars(FILM), "image": 0}


def test_equal_films_give_equal_bytes() -> None:
    assert encode_npz(FILM) == encode_npz(FILM)


def test_the_arrays_are_plain_numpy_that_anyone_can_load_without_pickle(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(encode_npz(FILM))
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["image"].dtype == np.uint8
        assert arrays["label"].shape == ()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", encode_npz(FILM)[:-30]])
def test_a_damaged_npz_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    with pytest.raises(CxrError, match=r"a\.npz: not a readable NPZ film"):
        read_npz(path)


def test_an_image_of_another_shape_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(encode_npz(NpzFilm(**{**vars(FILM), "image": np.zeros((8, 8, 3), np.uint8)})))
    with pytest.raises(CxrError, match=r"uint8 \(8, 8, 3\); expected uint8 \(side, side, 4\)"):
        read_npz(path)


def test_the_index_comes_back_with_its_subgroups(tmp_path: Path) -> None:
    row = NpzRow("train/a.npz", "a", "P1", "train", "normal", FILM.classes, "0" * 32, {"cause": "", "view": "NA"})
    write_index(tmp_path / INDEX, [row])
    assert read_index(tmp_path) == [row]


def test_a_missing_index_and_one_without_a_column_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match=r"index\.csv: no index of NPZ films; run `dvc repro preprocess`"):
        read_index(tmp_path)
    (tmp_path / INDEX).write_text("file,image_id\na.npz,a\n")
    with pytest.raises(CxrError, match="column 'patient_id' is missing"):
        read_index(tmp_path)
