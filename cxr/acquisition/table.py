"""Acquisition features as tables: data/acquisition.csv, and the framing of the lungs from data/masks.csv."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.acquisition.statistics import GREY_STATISTICS
from cxr.core.errors import CxrError
from cxr.core.files import write_csv


def write_acquisition(path: Path, rows: Iterable[tuple[str, Sequence[float]]]) -> None:
    """Write the statistics of each film by its image id."""
    table = pd.DataFrame(
        [{"image_id": name, **dict(zip(GREY_STATISTICS, values, strict=True))} for name, values in rows]
    )
    write_csv(path, table)


def read_acquisition(path: Path) -> pd.DataFrame:
    """The statistics (films, STATISTICS) with the image id as index; raises CxrError when the file is unusable."""
    if not path.is_file():
        raise CxrError(f"{path}: no acquisition statistics; run `dvc repro ingest` first")
    table = pd.read_csv(path, dtype={"image_id": str})
    missing = [name for name in ("image_id", *GREY_STATISTICS) if name not in table.columns]
    if missing:
        raise CxrError(f"{path}: column {missing[0]!r} is missing; run `dvc repro --force ingest`")
    return table.set_index("image_id")[list(GREY_STATISTICS)]


def framing(masks: pd.DataFrame) -> pd.DataFrame:
    """Where the lungs lie on each film, from the table of masks: their box, its shape, their share of the film.

    It says how the film was framed and nothing of what is in the lungs. On files that were squashed to squares the
    shape of the box tells the aspect of the film as it was taken.
    """
    table = masks.set_index("image_id")
    shape = np.log((table["bottom"] - table["top"]) / (table["right"] - table["left"]))
    return table[["left", "top", "right", "bottom", "area"]].assign(shape=shape)
