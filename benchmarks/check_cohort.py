"""Seconds and memory of `python -m cxr check FOLDER --write`, by layout and number of films.

    python -m benchmarks.check_cohort --films 500 50000

Each cohort has small films, a process of its own and settings in a temporary folder. Of DICOM files without a patient
column, the check reads a sample of headers, which its report names.
"""

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from cxr.core.errors import CxrError
from cxr.ingest.patients import HEADERS
from cxr.report.tables import markdown
from testing.workspace import ROOT, make_workspace

SIDE = 64  # pixels of a film
PATIENT = "P0000000"  # in the template, replaced in each DICOM file


@dataclass(frozen=True)
class Cost:
    """What one check took."""

    wall: float  # seconds
    processor: float  # seconds
    megabytes: float  # peak of the process
    sampled: bool  # whether its report names the headers as a sample


def main() -> None:
    """Print one row per layout and number of films, and the growth of memory."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.check_cohort", description=__doc__)
    parser.add_argument("--films", type=int, nargs="+", default=[500, 50_000], help="numbers, the smallest first")
    options = parser.parse_args()
    rows = []
    for name, write in LAYOUTS.items():
        first = 0.0
        for films in options.films:
            with tempfile.TemporaryDirectory(prefix="check-cohort-") as folder:
                write(Path(folder) / "films", films)
                cost = check(Path(folder))
            if name == "DICOM" and films > HEADERS and not cost.sampled:
                raise CxrError(f"{films} DICOM films: the report does not say how many headers were read")
            first = first or cost.megabytes
            numbers = [f"{cost.wall:.1f}", f"{cost.processor:.1f}", f"{cost.megabytes:,.0f}"]
            rows.append([name, f"{films:,}", *numbers, f"{cost.megabytes - first:+,.0f}"])
    print(markdown(["layout", "films", "s", "s of processor", "MB", "MB more"], rows))


def check(folder: Path) -> Cost:
    """Check `folder/films` in a process of its own; raises CalledProcessError if it finds an error."""
    workspace = make_workspace(folder / "workspace", folder / "films")
    command = [sys.executable, "-m", "cxr", "check", str(folder / "films"), "--write"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DVC_ROOT": str(workspace),
        "CXR_PATIENT_KEY": secrets.token_hex(32),
    }
    log = folder / "check.log"
    started = time.perf_counter()
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=workspace, env=environment, stdout=output, stderr=output)
        _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    text = log.read_text(encoding="utf-8")
    if process.returncode:
        print(text, file=sys.stderr)
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, f"a sample of {HEADERS} headers" in text)


def write_folders(root: Path, films: int) -> None:
    """Class folders, two films per patient."""
    content = _film()
    for label in ("NORMAL", "PNEUMONIA"):
        (root / label).mkdir(parents=True)
    for number in range(films):
        name = f"person{number // 4:05d}_{number % 4}.jpeg"
        (root / ("NORMAL", "PNEUMONIA")[number % 2] / name).write_bytes(content)


def write_table(root: Path, films: int) -> None:
    """Films in folders of a thousand, and a table with patients."""
    content, lines = _film(), ["path,label,patient_id,age"]
    for number in range(films):
        path = root / f"images_{number // 1000:03d}" / f"{number:08d}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        lines.append(f"{path.name},{('normal', 'pneumonia')[number % 2]},{number // 4},{number % 90}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_dicom(root: Path, films: int) -> None:
    """DICOM films with patients in their headers, and a table."""
    root.mkdir()
    _dicom(root / "template.dcm")
    content, lines = (root / "template.dcm").read_bytes(), ["path,label"]
    (root / "template.dcm").unlink()
    for number in range(films):
        (root / f"{number:08d}.dcm").write_bytes(content.replace(PATIENT.encode(), f"P{number // 4:07d}".encode()))
        lines.append(f"{number:08d},{('normal', 'pneumonia')[number % 2]}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


LAYOUTS: dict[str, Callable[[Path, int], None]] = {
    "class folders": write_folders,
    "table": write_table,
    "DICOM": write_dicom,
}


def _pixels() -> "np.typing.NDArray[np.uint8]":
    return np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE)


def _film() -> bytes:
    return cv2.imencode(".jpg", _pixels())[1].tobytes()


def _dicom(path: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ComputedRadiographyImageStorage, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    film.SOPClassUID, film.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    film.Modality, film.PatientID, film.PhotometricInterpretation = "CR", PATIENT, "MONOCHROME2"
    film.Rows, film.Columns, film.SamplesPerPixel, film.PixelRepresentation = SIDE, SIDE, 1, 0
    film.BitsAllocated, film.BitsStored, film.HighBit, film.PixelData = 8, 8, 7, _pixels().tobytes()
    film.save_as(path)


if __name__ == "__main__":
    main()
