from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import CxrError
from cxr.npz.npz_set import encode_npz, read_index, read_npz
from cxr.train.packed import PACKS_KEPT, open_pack
from tests.train.conftest import write_npz_set


def test_a_pack_holds_the_films_of_the_npz_set_grey_ones_in_half_the_space(tmp_path: Path) -> None:
    folder = write_npz_set(tmp_path / "npz")
    pack = open_pack([folder], tmp_path / "packs", "1")
    rows = read_index(folder)
    assert pack.classes == ("normal", "pneumonia")
    assert pack.train.images.shape == (26, 2, 32, 32)
    for split, films in (("train", pack.train), ("val", pack.val)):
        for place, row in enumerate(row for row in rows if row.split == split):
            film = read_npz(folder / row.file)
            assert np.array_equal(films.images[place], film.image.transpose(2, 0, 1)[[0, 3]])
            assert films.labels[place] == film.label
    assert pack.corrupted.images.shape == pack.val.images.shape
    assert pack.counts("val") == [7, 6]


def test_one_film_in_colour_keeps_the_colours_of_all(tmp_path: Path) -> None:
    folder = write_npz_set(tmp_path / "npz")
    path = folder / read_index(folder)[-1].file
    film = read_npz(path)
    film.image[..., 1] = 3
    path.write_bytes(encode_npz(film))
    pack = open_pack([folder], tmp_path / "packs", "1")
    assert pack.train.images.shape[1] == 4
    assert np.array_equal(pack.val.images[-1], film.image.transpose(2, 0, 1))


def test_a_pack_is_made_once_and_anew_when_a_film_or_the_code_changes(tmp_path: Path) -> None:
    folder, packs = write_npz_set(tmp_path / "npz"), tmp_path / "packs"
    first = open_pack([folder], packs, "1")
    assert open_pack([folder], packs, "1").data_hash == first.data_hash
    assert len(list(packs.iterdir())) == 1
    open_pack([folder], packs, "2")
    path = folder / read_index(folder)[0].file
    film = read_npz(path)
    film.image[0, 0] = 1
    path.write_bytes(encode_npz(film))
    assert open_pack([folder], packs, "1").data_hash != first.data_hash
    assert len(list(packs.iterdir())) == 3


def test_old_packs_are_dropped(tmp_path: Path) -> None:
    folder = write_npz_set(tmp_path / "npz")
    for version in range(PACKS_KEPT + 2):
        open_pack([folder], tmp_path / "packs", str(version))
    assert len(list((tmp_path / "packs").iterdir())) == PACKS_KEPT


def test_several_folders_make_one_set(tmp_path: Path) -> None:
    one = write_npz_set(tmp_path / "one")
    pack = open_pack([one, write_npz_set(tmp_path / "two")], tmp_path / "packs", "1")
    assert len(pack.train.labels) == 52


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_class_missing_in_train_or_validation_is_told(tmp_path: Path, split: str) -> None:
    folder = write_npz_set(tmp_path / "npz")
    index = pd.read_csv(folder / "index.csv")
    index[(index["split"] != split) | (index["label"] != "pneumonia")].to_csv(folder / "index.csv", index=False)
    with pytest.raises(CxrError, match=f"split '{split}' has no film of class 'pneumonia'"):
        open_pack([folder], tmp_path / "packs", "1")


def test_films_of_two_preparations_are_not_mixed(tmp_path: Path) -> None:
    folder = write_npz_set(tmp_path / "npz", side=32)
    other = write_npz_set(tmp_path / "other", side=48)
    with pytest.raises(CxrError, match=r"\(48, 48, 4\) pixels, the rest \(32, 32, 4\)"):
        open_pack([folder, other], tmp_path / "packs", "1")
    assert not list((tmp_path / "packs").iterdir())
