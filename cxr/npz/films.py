"""The NPZ set: one NPZ per film, and the index.

An NPZ holds `image`, uint8 (side, side, 4) = [R, G, B, lung mask of 0 or 255], the class index `label`, and the film's
provenance: its ids, the hash of its source, the crop box and the preparation.
"""

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.errors import CxrError
from cxr.core.files import write_csv

Array = np.ndarray[Any, Any]

INDEX = "index.csv"
SUFFIX = ".npz"
LEVEL = 1  # zlib level: level 6 takes five times as long for 15 % smaller files
_COLUMNS = ("file", "image_id", "patient_id", "split", "label", "classes", "film_hash")


@dataclass(frozen=True)
class NpzFilm:
    """The content of one NPZ."""

    image: Array  # uint8 (side, side, 4)
    label: int
    image_id: str
    patient_id: str
    classes: tuple[str, ...]
    film_hash: str
    crop_box: tuple[int, int, int, int]  # left, top, right, bottom in the film's pixels
    film_size: tuple[int, int]  # width, height of the film in pixels
    spec: str  # `cxr.npz.preparation.Preparation` as JSON


@dataclass(frozen=True)
class NpzRow:
    """One row of the index."""

    file: str  # relative to the folder of the index
    image_id: str
    patient_id: str
    split: str
    label: str  # class name
    classes: tuple[str, ...]
    film_hash: str
    attributes: dict[str, str] = field(default_factory=dict)  # further manifest columns: cause, view, sex, …


def encode_npz(film: NpzFilm) -> bytes:
    """The bytes of an `.npz` file; the same content gives the same bytes."""
    arrays: dict[str, Array] = {
        "image": film.image,
        "label": np.array(film.label, np.int64),
        "image_id": np.array(film.image_id),
        "patient_id": np.array(film.patient_id),
        "classes": np.array(film.classes),
        "film_hash": np.array(film.film_hash),
        "crop_box": np.array(film.crop_box, np.int32),
        "film_size": np.array(film.film_size, np.int32),
        "spec": np.array(film.spec),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(values), allow_pickle=False)
            # A fixed date gives the same bytes in every run.
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, member.getvalue(), compresslevel=LEVEL)
    return buffer.getvalue()


def read_npz(path: Path) -> NpzFilm:
    """Read one NPZ; raises CxrError when it is missing, truncated or of another format."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            film = NpzFilm(
                image=arrays["image"],
                label=int(arrays["label"]),
                image_id=str(arrays["image_id"]),
                patient_id=str(arrays["patient_id"]),
                classes=tuple(str(name) for name in arrays["classes"]),
                film_hash=str(arrays["film_hash"]),
                crop_box=_box(arrays["crop_box"]),
                film_size=(int(arrays["film_size"][0]), int(arrays["film_size"][1])),
                spec=str(arrays["spec"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CxrError(f"{path}: not a readable NPZ film ({error}); run `dvc repro --force preprocess`") from error
    if film.image.dtype != np.uint8 or film.image.ndim != 3 or film.image.shape[2] != 4:
        raise CxrError(f"{path}: image is {film.image.dtype} {film.image.shape}; expected uint8 (side, side, 4)")
    return film


def write_index(path: Path, rows: list[NpzRow]) -> None:
    """Write `index.csv` of an NPZ set."""
    table = [
        {
            **{name: getattr(row, name) for name in _COLUMNS},
            "classes": "|".join(row.classes),
            **row.attributes,
        }
        for row in rows
    ]
    write_csv(path, pd.DataFrame(table))


def read_index(folder: Path) -> list[NpzRow]:
    """The rows of `<folder>/index.csv`; raises CxrError when it is missing, empty or lacks a column."""
    path = folder / INDEX
    if not path.is_file():
        raise CxrError(f"{path}: no index of NPZ films; run `dvc repro preprocess` first")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [name for name in _COLUMNS if name not in table.columns]
    if missing or table.empty:
        fault = f"column {missing[0]!r} is missing" if missing else "it has no films"
        raise CxrError(f"{path}: {fault}; run `dvc repro preprocess` again")
    extra = [str(name) for name in table.columns if name not in _COLUMNS]
    return [
        NpzRow(
            **{**{name: row[name] for name in _COLUMNS}, "classes": tuple(row["classes"].split("|"))},
            attributes={name: row[name] for name in extra},
        )
        for row in table.to_dict("records")
    ]


def _box(values: Array) -> tuple[int, int, int, int]:
    left, top, right, bottom = (int(value) for value in values)
    return left, top, right, bottom
