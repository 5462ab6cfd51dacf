"""Acquisition features as tables: data/acquisition.csv, and framing from data/masks.csv."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.acquisition.statistics import GREY_STATISTICS
from cxr.core.errors import CxrError
from cxr.core.files import write_csv


def write_acquisition(path: Path, rows: Iterable[tuple[str, Sequence[float]]]) -> None:
    """Write the GREY_STATISTICS of films, given as (image id, values)."""
    table = pd.DataFrame(
        [{"image_id": name, **dict(zip(GREY_STATISTICS, values, strict=True))} for name, values in rows]
    )
    write_csv(path, table)


def read_acquisition(path: Path) -> pd.DataFrame:
    """The GREY_STATISTICS, one row per film, indexed by image id; raises CxrError when file or column is missing."""
    if not path.is_file():
        raise CxrError(f"{path}: no acquisition statistics; run `dvc repro ingest` first")
    table = pd.read_csv(path, dtype={"image_id": str})
    missing = [name for name in ("image_id", *GREY_STATISTICS) if name not in table.columns]
    if missing:
        raise CxrError(f"{path}: column {missing[0]!r} is missing; run `dvc repro --force ingest`")
    return table.set_index("image_id")[list(GREY_STATISTICS)]


def framing(masks: pd.DataFrame) -> pd.DataFrame:
    """The framing of each film, from the table of masks: box of the lungs, its log aspect, their share of the film.

    Framing does not depend on the content of the lungs. On films squashed to squares, the aspect of the box reveals
    the original aspect of the film.
    """
    table = masks.set_index("image_id")
    shape = np.log((table["bottom"] - table["top"]) / (table["right"] - table["left"]))
    return table[["left", "top", "right", "bottom", "area"]].assign(shape=shape)
