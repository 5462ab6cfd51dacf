"""The manifest: one row per film, written by ingest and read by all later stages."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.core.errors import CxrError
from cxr.core.files import write_csv
from cxr.films.read import Source, read_source

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Record:
    """One film of the cohort."""

    image_id: str
    path: str  # address of the film, as `cxr.films.read` takes it
    label: str  # class name
    patient_id: str
    split: str  # train, val or test
    width: int  # pixels
    height: int
    bits: int  # stored per pixel
    film_hash: str  # of the file's bytes
    pixel_hash: str  # of the reduced film's pixels, and of the film's size
    mask_path: str  # reference lung mask, or empty
    attributes: dict[str, str] = field(default_factory=dict)  # further columns: cause, view, sex, …


FIELDS = tuple(item.name for item in fields(Record) if item.name != "attributes")
_NUMBERS = ("width", "height", "bits")


def read_recorded(record: Record) -> Source:
    """The bytes of a film, unchanged since ingest; raises CxrError when the film is missing or has changed."""
    source = read_source(record.path)
    if source.film_hash != record.film_hash:
        raise CxrError(f"{record.path}: the film changed after ingest; run `dvc repro ingest` again")
    return source


def write_manifest(path: Path, records: Iterable[Record], classes: Iterable[str]) -> None:
    """Write the manifest; the column `classes` holds the class names in order of their index."""
    order = "|".join(classes)
    rows = [
        {**{name: getattr(record, name) for name in FIELDS}, "classes": order, **record.attributes}
        for record in records
    ]
    write_csv(path, pd.DataFrame(rows))


def read_manifest(path: Path) -> tuple[list[Record], list[str]]:
    """Read records and class names; raises CxrError when the file is missing, empty or lacks a column."""
    if not path.is_file():
        raise CxrError(f"{path}: no manifest; run `dvc repro ingest` first")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    missing = [name for name in (*FIELDS, "classes") if name not in table.columns]
    if missing or table.empty:
        fault = f"column {missing[0]!r} is missing" if missing else "it has no films"
        raise CxrError(f"{path}: {fault}; run `dvc repro ingest` again")
    extra = [name for name in table.columns if name not in (*FIELDS, "classes")]
    records = []
    for row in table.to_dict("records"):
        values: dict[str, Any] = {name: int(row[name]) if name in _NUMBERS else row[name] for name in FIELDS}
        records.append(Record(**values, attributes={name: row[name] for name in extra}))
    return records, str(table["classes"].iloc[0]).split("|")
