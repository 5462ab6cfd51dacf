"""A set of shards, and its films as memory-mapped arrays.

A shard is a plain `.npy` file, uint8 (films, channels, side, side), named by the hash of its content. Channels are
[grey, mask] if every film of the set is grey, else [R, G, B, mask]. `films.csv` has one row per film with its shard and
row; `facts.json` holds what all films share. docs/operations.md explains the choice of format.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.errors import CxrError
from cxr.core.files import digest

Array = np.ndarray[Any, Any]

TABLE, FACTS = "films.csv", "facts.json"
COLUMNS = ("split", "shard", "row", "image_id", "patient_id", "label", "film_hash")


class ShardedArray:
    """Films of several shards as one array (films, channels, side, side), read from disk on access."""

    def __init__(self, parts: Sequence[Array], shards: Array, rows: Array) -> None:
        """`shards` and `rows` are, per film, the index of its part and its row there."""
        self._parts, self._shards, self._rows = parts, shards, rows
        self.shape: tuple[int, ...] = (len(rows), *parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Array | slice) -> Array:
        """Copies of the films at these indices."""
        shards, rows = self._shards[index], self._rows[index]
        films = np.empty((len(rows), *self.shape[1:]), np.uint8)
        for shard in np.unique(shards):
            here = shards == shard
            films[here] = self._parts[shard][rows[here]]
        return films


@dataclass(frozen=True)
class ShardSet:
    """A folder of shards."""

    folder: Path
    table: pd.DataFrame  # COLUMNS, one row per film, in the order of the NPZ index: sharding does not change results
    classes: tuple[str, ...]
    image_px: int
    spec: str  # of the preparation

    def films(self, split: str) -> ShardedArray:
        """The films of a split in the order of the table, memory-mapped."""
        rows = self._of(split)
        shards, names = pd.factorize(rows["shard"])
        return ShardedArray([_map(self.folder / name) for name in names], shards, np.asarray(rows["row"], np.int64))

    def labels(self, split: str) -> Array:
        """Class indices of the films of a split, int64."""
        return np.array(self._of(split)["label"], np.int64)

    def shards(self, split: str) -> list[str]:
        """File names of the shards of a split."""
        return [str(name) for name in self._of(split)["shard"].unique()]

    @cached_property
    def content_hash(self) -> str:
        """Hash of the whole content: the table holds the content hash of every shard."""
        return digest((self.folder / TABLE).read_bytes(), (self.folder / FACTS).read_bytes())

    def _of(self, split: str) -> pd.DataFrame:
        rows = self.table[self.table["split"] == split]
        if rows.empty:
            raise CxrError(f"{self.folder / TABLE}: no film in split {split!r}; raise data.val_fraction")
        return rows


def open_shards(folder: Path) -> ShardSet:
    """Open a folder of shards; raises CxrError when it is not one, or a shard is missing."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        table = pd.read_csv(folder / TABLE, dtype={name: str for name in COLUMNS if name not in ("row", "label")})
        found = ShardSet(folder, table, tuple(facts["classes"]), int(facts["image_px"]), str(facts["spec"]))
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())  # pandas ends some of its messages with a line break
        raise CxrError(f"{folder}: not a set of shards ({reason}); run `dvc repro shard`") from error
    missing = [name for name in table["shard"].unique() if not (folder / name).is_file()]
    if missing:
        raise CxrError(f"{folder / missing[0]}: listed in {TABLE} but missing; run `dvc repro shard`")
    return found


def _map(path: Path) -> Array:
    try:
        films: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CxrError(f"{path}: not a readable shard ({error}); run `dvc repro --force shard`") from error
    return films
