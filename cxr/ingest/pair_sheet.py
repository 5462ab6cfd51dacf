"""Likely duplicates as a table and a contact sheet, for review by a person."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from cxr.core.files import atomic_folder, write_bytes, write_csv
from cxr.films.letterbox import Image
from cxr.films.manifest import Record, read_recorded
from cxr.films.reduced import read_reduced
from cxr.ingest.near_duplicates import Pair

log = logging.getLogger(__name__)
SHOWN, SIDE, CAPTION, ACROSS = 24, 192, 32, 3  # pairs on the sheet, pixels, pixels, pairs in a row
COLUMNS = ("distance", "mirrored", "split", "path", "patient_id", "label")
TABLE = (*COLUMNS, *(f"other_{name}" for name in COLUMNS[2:]))


def write_pairs(folder: Path, pairs: Sequence[Pair]) -> None:
    """Write `pairs.csv` and, if there are pairs, `pairs.png` into `folder`, and log a warning."""
    rows = [(pair.distance, pair.mirrored, *_cells(pair.one), *_cells(pair.other)) for pair in pairs]
    with atomic_folder(folder) as into:
        write_csv(into / "pairs.csv", pd.DataFrame(rows, columns=list(TABLE)))
        if pairs:
            write_bytes(into / "pairs.png", _sheet(pairs[:SHOWN]))
    if pairs:
        first = pairs[0]
        log.warning(
            "%d films are likely duplicates of a film of another split, such as %s (%s) and %s (%s); review "
            "%s/pairs.png: give true duplicates the same patient, or remove one",
            len(pairs),
            first.one.path,
            first.one.split,
            first.other.path,
            first.other.split,
            folder,
        )


def _cells(record: Record) -> tuple[str, str, str, str]:
    return record.split, record.path, record.patient_id, record.label


def _sheet(pairs: Sequence[Pair]) -> bytes:
    tiles = [_tile(pair) for pair in pairs]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % ACROSS)
    rows = [np.hstack(tiles[start : start + ACROSS]) for start in range(0, len(tiles), ACROSS)]
    ok, png = cv2.imencode(".png", np.vstack(rows))
    assert ok
    return png.tobytes()


def _tile(pair: Pair) -> np.ndarray[Any, Any]:
    """Two films side by side with a caption, grey (SIDE + CAPTION, 2 * SIDE + 8)."""
    tile = np.zeros((SIDE + CAPTION, 2 * SIDE + 8), np.uint8)
    for place, record in enumerate((pair.one, pair.other)):
        left = place * SIDE + 2
        tile[:SIDE, left : left + SIDE] = _small(record)
        _write(tile, f"{record.split} {record.image_id}"[:30], (left + 2, SIDE + 13))
    mirrored = ", mirrored" if pair.mirrored else ""
    _write(tile, f"distance {pair.distance:.3f}{mirrored}", (4, SIDE + 27))
    return tile


def _small(record: Record) -> Image:
    return np.asarray(cv2.resize(read_reduced(read_recorded(record)).grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA))


def _write(tile: np.ndarray[Any, Any], text: str, where: tuple[int, int]) -> None:
    cv2.putText(tile, text, where, cv2.FONT_HERSHEY_SIMPLEX, 0.36, 255, 1, cv2.LINE_AA)
