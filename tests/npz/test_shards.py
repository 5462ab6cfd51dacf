"""Shards are the films of the NPZ set, in files that their content names."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cxr.core.errors import CxrError
from cxr.npz.films import NpzFilm, encode_npz, read_index, read_npz
from cxr.npz.pack import build_shards
from cxr.npz.shards import TABLE, ShardedArray, open_shards
from testing.npz import write_npz_set

FILM_BYTES = 2 * 32 * 32


def edit(path: Path, **changes: object) -> NpzFilm:
    film = replace(read_npz(path), **changes)  # type: ignore[arg-type]
    path.write_bytes(encode_npz(film))
    return film


def shard_files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.npy")}


def test_every_film_is_at_its_place_in_the_table_and_grey_films_take_half_the_space(tmp_path: Path) -> None:
    npz = write_npz_set(tmp_path / "npz")
    build_shards(npz, tmp_path / "shards")
    shards = open_shards(tmp_path / "shards")
    films = {row.image_id: (read_npz(npz / row.file), row.split) for row in read_index(npz)}
    assert sorted(shards.table["image_id"]) == sorted(films)
    for row in shards.table.itertuples():
        film, split = films[row.image_id]
        stored = np.load(tmp_path / "shards" / row.shard)[row.row]
        assert np.array_equal(stored, film.image.transpose(2, 0, 1)[[0, 3]])
        assert (row.label, row.patient_id, row.film_hash, row.split) == (
            film.label,
            film.patient_id,
            film.film_hash,
            split,
        )
    assert (shards.classes, shards.image_px) == (("normal", "pneumonia"), 32)


def test_one_film_with_colours_keeps_the_channels_of_all(tmp_path: Path) -> None:
    npz = write_npz_set(tmp_path / "npz")
    image = read_npz(npz / "val" / "val000.npz").image.copy()
    image[0, 0, 1] ^= 1
    edit(npz / "val" / "val000.npz", image=image)
    build_shards(npz, tmp_path / "shards")
    shards = open_shards(tmp_path / "shards")
    assert shards.films("train").shape == (8, 4, 32, 32)
    assert np.array_equal(shards.films("val")[:1][0], image.transpose(2, 0, 1))


def test_the_same_films_give_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        build_shards(write_npz_set(tmp_path / "npz"), tmp_path / name)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two


def test_one_changed_film_changes_one_shard(tmp_path: Path) -> None:
    npz = write_npz_set(tmp_path / "npz", per_split={"train": 64, "val": 8, "test": 2})
    build_shards(npz, tmp_path / "before", 8 * FILM_BYTES)
    assert len(shard_files(tmp_path / "before")) >= 8
    edit(npz / "train" / "train007.npz", image=255 - read_npz(npz / "train" / "train007.npz").image)
    build_shards(npz, tmp_path / "after", 8 * FILM_BYTES)
    assert len(shard_files(tmp_path / "after") - shard_files(tmp_path / "before")) == 1


def test_a_growing_set_splits_shards_instead_of_mixing_them(tmp_path: Path) -> None:
    tables = []
    for count in (64, 65):
        npz = write_npz_set(tmp_path / f"npz{count}", per_split={"train": count, "val": 2, "test": 2})
        build_shards(npz, tmp_path / f"shards{count}", 8 * FILM_BYTES)
        tables.append(open_shards(tmp_path / f"shards{count}").table.set_index("image_id")["shard"])
    before, after = tables
    came_from = before.groupby(after.reindex(before.index)).nunique()
    assert len(came_from) > before.nunique()
    assert (came_from == 1).all()


def test_a_sharded_array_gives_the_films_asked_for_in_their_order() -> None:
    whole = np.arange(11 * 2 * 3 * 3, dtype=np.uint8).reshape(11, 2, 3, 3)
    shards = np.array([0, 1, 2] * 4)[:11]
    rows = np.arange(11) // 3
    films = ShardedArray([whole[part::3] for part in range(3)], shards, rows)
    assert (len(films), films.shape) == (11, whole.shape)
    for index in (np.array([10, 0, 4, 4, 5, 3]), np.array([], np.int64)):
        assert np.array_equal(films[index], whole[index])
    assert np.array_equal(films[3:8], whole[3:8])
    assert np.array_equal(films[:], whole)


def test_the_order_of_the_films_is_that_of_the_npz_set_however_large_shards_are(tmp_path: Path) -> None:
    npz = write_npz_set(tmp_path / "npz", per_split={"train": 20, "val": 4, "test": 2})
    ids = [row.image_id for row in read_index(npz)]
    arrays = []
    for size in (3 * FILM_BYTES, 100 * FILM_BYTES):
        build_shards(npz, tmp_path / str(size), size)
        shards = open_shards(tmp_path / str(size))
        assert list(shards.table["image_id"]) == ids
        arrays.append(shards.films("train")[:])
    assert np.array_equal(*arrays)


def test_films_of_another_preparation_are_an_error(tmp_path: Path) -> None:
    npz = write_npz_set(tmp_path / "npz")
    edit(npz / "train" / "train003.npz", spec="another")
    with pytest.raises(CxrError, match=r"train003\.npz: spec differs .*; run"):
        build_shards(npz, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


def test_missing_and_broken_shards_are_one_line_errors(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match="not a set of shards"):
        open_shards(tmp_path / "nowhere")
    build_shards(write_npz_set(tmp_path / "npz"), tmp_path / "shards")
    (name,) = open_shards(tmp_path / "shards").shards("val")
    (tmp_path / "shards" / name).write_bytes(b"")
    with pytest.raises(CxrError, match="not a readable shard"):
        open_shards(tmp_path / "shards").films("val")
    (tmp_path / "shards" / name).unlink()
    with pytest.raises(CxrError, match=rf"{name}: listed in films\.csv but missing"):
        open_shards(tmp_path / "shards")


def test_the_error_of_a_damaged_table_is_one_line(tmp_path: Path) -> None:
    build_shards(write_npz_set(tmp_path / "npz"), tmp_path / "shards")
    with (tmp_path / "shards" / TABLE).open("a") as table:
        table.write(",".join("x" * 30) + "\n")
    with pytest.raises(CxrError, match=r"not a set of shards \(.*saw 30\); run `dvc repro shard`") as caught:
        open_shards(tmp_path / "shards")
    assert len(str(caught.value).splitlines()) == 1
