"""The films of a run: training films, validation films and the copies of these, out of the shards."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr.core.errors import CxrError
from cxr.npz.shards import ShardedArray, ShardSet, open_shards

COPIES = ("corrupted", "swapped")  # of the validation films, where the set has them
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Films:
    """The films of one split."""

    images: Array | ShardedArray  # uint8 (films, 2 or 4, height, width), memory-mapped
    labels: Array  # int64 (films,)


@dataclass(frozen=True)
class FilmSet:
    """What a run trains on and is validated with."""

    train: Films
    patients: list[str]  # of the training films
    val: Films
    copies: dict[str, Films]  # of the validation films, by kind
    classes: tuple[str, ...]
    image_px: int
    spec: str  # of the preparation
    data_hash: str

    @property
    def scored(self) -> dict[str, Films]:
        """What each epoch is scored on, by the name that its figures have in the history."""
        return {"val": self.val, **self.copies}

    def counts(self, split: str) -> list[int]:
        """Films of each class."""
        films: Films = getattr(self, split)
        return [int(count) for count in np.bincount(films.labels, minlength=len(self.classes))]


def open_films(folder: Path) -> FilmSet:
    """Open the shards in `folder`; raises CxrError when a class is missing in train or validation."""
    shards = open_shards(folder)
    train, val = (_split(shards, name) for name in ("train", "val"))
    there = set(shards.table["split"])
    copies = {kind: Films(shards.films(kind), shards.labels(kind)) for kind in COPIES if kind in there}
    patients = shards.table.loc[shards.table["split"] == "train", "patient_id"].tolist()
    return FilmSet(train, patients, val, copies, shards.classes, shards.image_px, shards.spec, shards.content_hash)


def _split(shards: ShardSet, name: str) -> Films:
    labels = shards.labels(name)
    missing = [each for place, each in enumerate(shards.classes) if not (labels == place).any()]
    if missing:
        raise CxrError(
            f"{shards.folder}: split {name!r} has no film of class {missing[0]!r}; "
            "check data.classes and data.val_fraction"
        )
    return Films(shards.films(name), labels)
