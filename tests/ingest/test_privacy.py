"""Of a DICOM header only listed values reach an output, whatever text stands in its other attributes."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pydicom
import pytest
from pydicom.datadict import DicomDictionary

from cxr.films.manifest import Record, read_manifest
from cxr.ingest.config import DataSection
from cxr.ingest.ingest import ingest
from cxr.ingest.pseudonyms import VARIABLE
from tests.conftest import phantom, write_dicom
from tests.settings import machine, section

KEY = "0123456789abcdef" * 4
NAME = "ZORRO"
TEXTS = {"LO", "SH", "PN", "ST", "LT", "UT", "UC", "CS", "AE"}
KEPT = {
    "Modality",
    "PhotometricInterpretation",
    "SpecificCharacterSet",
    "BodyPartExamined",
}  # what decides if it is read


def settings(**changes: Any) -> DataSection:
    columns = {"path": "path", "label": "label"}
    base = {"root": "films", "layout": "dicom", "columns": columns, "patient_from": "dicom", "path_pattern": "none"}
    return section(DataSection, **{**base, "test_fraction": 0.0, "max_quarantined": 1.0, **changes})


def fill(dataset: pydicom.Dataset) -> None:
    """Put the name into every text attribute that the data set lacks."""
    for tag, (vr, multiple, _, retired, keyword) in DicomDictionary.items():
        plain = vr in TEXTS and keyword and not retired and tag >> 16 not in (0x0000, 0x0002) and tag >> 16 < 0x5000
        if plain and keyword not in KEPT and keyword not in dataset:
            setattr(dataset, keyword, NAME if multiple == "1" else [NAME, NAME][: 1 + (multiple == "2")])


def write_cohort(root: Path, films: int = 8) -> None:
    rows = []
    for index in range(films):
        path = write_dicom(root / f"{index}.dcm", phantom(index)[0], PatientID=f"{NAME}{index // 2}")
        dataset = pydicom.dcmread(path)
        fill(dataset)
        dataset.save_as(path)
        rows.append((f"{index}.dcm", index % 2))
    pd.DataFrame(rows, columns=["path", "label"]).to_csv(root / "labels.csv", index=False)


def run(one: DataSection) -> list[Record]:
    ingest(one, machine(workers=1), Path("data"))
    return read_manifest(Path("data/manifest.csv"))[0]


def test_a_name_in_every_text_attribute_reaches_no_file_and_no_log_line(
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    write_cohort(workspace / "films")
    rejected = write_dicom(
        workspace / "films/0.dcm", phantom(0)[0], PatientID="x", Modality=NAME, BodyPartExamined=NAME
    )
    assert NAME.encode() in rejected.read_bytes()
    with caplog.at_level(logging.DEBUG):
        run(settings())
    said = caplog.text + "".join(capfd.readouterr())
    assert NAME not in said
    written = [
        path for path in workspace.rglob("*") if path.is_file() and "films" not in path.relative_to(workspace).parts[:1]
    ]
    assert len(written) > 5
    assert [path for path in written if NAME.encode() in path.read_bytes()] == []
    assert len(pd.read_csv("data/quarantine.csv")) == 1
