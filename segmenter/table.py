"""The pairs of film and mask as a table: what prepare found, and what the stages after it read.

Apart from prepare.py, so that code which reads films is no dependency of the training.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Image = np.ndarray[Any, np.dtype[np.uint8]]  # (h, w)
Films = Image  # (films, h, w)


@dataclass(frozen=True)
class Pair:
    """One film with its reference lung mask."""

    dataset: str
    film: str  # path
    mask: str  # path
    patient: str  # unique over data sets
    split: str  # train, val or test
    width: int  # of the film as taken, in pixels; 0 when the file itself tells
    height: int


def write_pairs(path: Path, pairs: list[Pair]) -> None:
    """Write the pairs as CSV."""
    pd.DataFrame([asdict(pair) for pair in pairs]).to_csv(path, index=False, lineterminator="\n")


def read_pairs(path: Path) -> list[Pair]:
    """Read what `write_pairs` wrote."""
    return [Pair(**{str(key): value for key, value in row.items()}) for row in pd.read_csv(path).to_dict("records")]


def read_learning_set(folder: Path) -> tuple[Films, Films, list[Pair]]:
    """The films (films, side, side) of train and val, their masks of 0..255, and their pairs in the same order."""
    films, masks = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("films", "masks"))
    return films, masks, [pair for pair in read_pairs(folder / "pairs.csv") if pair.split != "test"]
