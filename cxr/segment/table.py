"""data/masks.csv: one row per film, in the order of the manifest."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from cxr.core.errors import CxrError
from cxr.core.files import write_csv


@dataclass(frozen=True)
class MaskRow:
    """The lung mask of one film. Areas are shares of the film; scores are empty without a reference mask."""

    image_id: str
    film_hash: str
    area: float  # of both lungs as found, before any fallback
    right_area: float
    left_area: float
    left: float  # box of both lungs as found, shares of the film's width and height; the whole film without lungs
    top: float
    right: float
    bottom: float
    expected_dice: float  # of the lungs as found, 0 where they are implausible
    fallback: int  # 1: the mask is the whole film
    fallback_reason: str
    dice: float | None = None  # of the mask as written, against the reference
    iou: float | None = None
    hd95: float | None = None  # pixels of the frame


COLUMNS = tuple(item.name for item in fields(MaskRow))


def write_mask_table(path: Path, rows: Iterable[MaskRow]) -> None:
    """Write the rows, with numbers rounded to four decimals."""
    table = pd.DataFrame([{name: getattr(row, name) for name in COLUMNS} for row in rows], columns=list(COLUMNS))
    numbers = [name for name in COLUMNS if name not in ("image_id", "film_hash", "fallback", "fallback_reason")]
    table[numbers] = table[numbers].astype(float).round(4)
    write_csv(path, table)


def read_mask_table(path: Path) -> pd.DataFrame:
    """The rows as a table, scores NaN where unknown; raises CxrError when the file is missing or lacks a column."""
    if not path.is_file():
        raise CxrError(f"{path}: no table of masks; run `dvc repro segment` first")
    table = pd.read_csv(path, dtype={"image_id": str, "film_hash": str, "fallback_reason": str})
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise CxrError(f"{path}: column {missing[0]!r} is missing; run `dvc repro --force segment`")
    return table.assign(fallback_reason=table["fallback_reason"].fillna(""))
