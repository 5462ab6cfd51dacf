"""A film with a complete header, and what a predictor says about it."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest

from cxr.dicom_export.previous import Previous
from cxr.dicom_export.write import SUFFIXES, DicomWriter
from cxr.films.read import read_source
from cxr.predict.batch import Outcome
from cxr.predict.inputs import NamedFilm
from cxr.predict.prediction import Prediction
from tests.conftest import phantom, write_dicom
from tests.predict.conftest import FakePredictor

CLASSES = ("normal", "pneumonia")
BUNDLE = "0123456789abcdef" * 4
STUDY = "1.2.826.0.1.3680043.8.498.1"
COMPLETE = {
    "StudyInstanceUID": STUDY,
    "SeriesInstanceUID": f"{STUDY}.2",
    "SOPInstanceUID": f"{STUDY}.3",
    "PatientName": "Doe^Jane",
    "PatientID": "4711",
    "PatientBirthDate": "19610203",
    "PatientSex": "F",
    "PatientAge": "062Y",
    "StudyDate": "20240305",
    "StudyTime": "101112",
    "StudyID": "S1",
    "AccessionNumber": "A1",
    "ReferringPhysicianName": "House^Gregory",
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "Manufacturer": "Maker",
    "BodyPartExamined": "CHEST",
    "ViewPosition": "PA",
    "PatientOrientation": ["L", "F"],
    "BurnedInAnnotation": "NO",
}


def write_film(path: Path, without: tuple[str, ...] = (), seed: int = 0, **tags: Any) -> Path:
    """A CR film with a complete header, less or changed attributes."""
    kept = {name: value for name, value in {**COMPLETE, **tags}.items() if name not in without}
    write_dicom(path, phantom(seed, 200, 160)[0], **kept)
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = kept["SOPInstanceUID"]  # setting pixels drew another
    dataset.save_as(path, enforce_file_format=True)
    return path


def prediction_of(path: Path, **changes: Any) -> Prediction:
    """The prediction of the fake predictor for a film of `write_film`."""
    dark = np.clip(phantom(0, 200, 160)[0], 40, None) - 40  # flagged
    png = cv2.imencode(".png", dark)[1].tobytes()
    found = FakePredictor()(png, path.as_posix())
    return replace(found, **{"film_hash": read_source(str(path)).film_hash, **changes})


def outcome(path: Path, answer: Prediction | str | None = None) -> Outcome:
    return Outcome(NamedFilm(path.as_posix(), "1"), prediction_of(path) if answer is None else answer, [])


def export(out: Path, *outcomes: Outcome, bundle: str = BUNDLE, previous: Path | None = None) -> dict[str, Any]:
    """Write the objects; returns those of the last film by kind."""
    writer = DicomWriter(out, CLASSES, bundle, Previous.load(previous))
    for one in outcomes:
        writer.add(one)
    writer.finish()
    last = Path(outcomes[-1].film.address).name
    found = {kind: next(out.glob(f"*{last}{suffix}"), None) for kind, suffix in SUFFIXES.items()}
    return {kind: pydicom.dcmread(path) for kind, path in found.items() if path is not None}


def errors(path: Path) -> set[str]:
    """The errors that `dciodvfy` finds in a file."""
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert lines, "dciodvfy names the kind of object"
    return {line for line in lines if line.startswith("Error")}


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return write_film(tmp_path / "film.dcm")
