"""What the objects take over from a film's header: references, patient and study, with faults repaired or left out."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset
from pydicom.valuerep import PersonName

from cxr.core.errors import CxrError
from cxr.films.dicom import parse_dicom
from cxr.films.header import MODALITIES
from cxr.films.read import Source

UTF_8 = "ISO_IR 192"
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
# DICOM PS3.3 C.7.1.1 to C.7.2.2. What identifies patient and study is taken over as it is, so that the objects belong
# to them; another value that does not match is left out. Those of the first group are present even when empty (type 2).
IDENTITY = ("PatientName", "PatientID", "StudyID", "AccessionNumber")
_DATE, _TIME = r"(19|20)\d{6}", r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"
_PRESENT = {
    "PatientBirthDate": r"\d{8}",
    "PatientSex": r"[MFO]",
    "StudyDate": r"\d{8}",
    "StudyTime": _TIME,
    "ReferringPhysicianName": r"[^\\\r\n]{1,64}",
}
_OPTIONAL = {
    "IssuerOfPatientID": r"[^\\\r\n]{1,64}",
    "PatientAge": r"\d{3}[DWMY]",
    "StudyDescription": r"[^\\\r\n]{1,64}",
}
_ORIENTATION = r"[LRAPHF]{1,3}"
_NO_DATE = datetime(1970, 1, 1)  # of the objects of a film without any date


@dataclass(frozen=True)
class FilmHeader:
    """The part of a film's header that its objects use."""

    reference: Dataset  # UIDs and size of the film; its patient attributes are empty
    subject: Dataset  # patient and study, to copy into each object
    made: datetime  # when the film was made: date and time of the objects
    orientation: list[str]  # of rows and columns; empty when the film has none, or a faulty one
    lossy: bool  # the film was compressed with loss
    may_be_film: bool  # its modality is that of a radiograph


def read_header(source: Source) -> FilmHeader:
    """The header of a DICOM film.

    Raises:
        CxrError: a radiograph lacks a UID, so that no object can refer to it.
        Exception: of pydicom; the header is damaged.
    """
    film = parse_dicom(source.content, stop_before_pixels=True)
    film.decode()
    modality = _text(film, "Modality").upper()
    may_be_film = "Rows" in film and (not modality or modality in MODALITIES)
    missing = [name for name in UIDS if not _text(film, name)]
    if missing and may_be_film:
        raise CxrError(
            f"{source.address}: no {' and no '.join(missing)}, so no DICOM object can refer to it; export the film "
            "again, or leave it out of --dicom-out"
        )
    return FilmHeader(
        reference=_reference(film),
        subject=_subject(film),
        made=_made(film),
        orientation=_orientation(film),
        lossy=_text(film, "LossyImageCompression") == "01",
        may_be_film=may_be_film,
    )


def _text(film: Dataset, keyword: str) -> str:
    return str(film.get(keyword, "") or "").strip()


def _reference(film: Dataset) -> Dataset:
    reference = Dataset()
    for name in (*IDENTITY, *_PRESENT):
        setattr(reference, name, "")
    for name in UIDS:
        setattr(reference, name, _text(film, name))
    reference.Rows, reference.Columns = int(film.get("Rows") or 0), int(film.get("Columns") or 0)
    return reference


def _subject(film: Dataset) -> Dataset:
    subject = Dataset()
    subject.SpecificCharacterSet = UTF_8
    for name in IDENTITY:
        value = film.get(name) or ""
        setattr(subject, name, PersonName(str(value)) if name == "PatientName" else value)
    for name, pattern in _PRESENT.items():
        setattr(subject, name, _matching(_text(film, name), pattern))
    for name, pattern in _OPTIONAL.items():
        value = _age(_text(film, name)) if name == "PatientAge" else _text(film, name)
        if re.fullmatch(pattern, value):
            setattr(subject, name, value)
    return subject


def _matching(value: str, pattern: str) -> str:
    return value if re.fullmatch(pattern, value) else ""


def _age(age: str) -> str:
    """An age in years without unit and leading zeros, which many devices write, as DICOM wants it: `62` is `062Y`."""
    found = re.fullmatch(r"(\d{1,3})([DWMY]?)", age.upper())
    return f"{int(found[1]):03d}{found[2] or 'Y'}" if found else ""


def _orientation(film: Dataset) -> list[str]:
    value: Any = film.get("PatientOrientation")
    if value is None or isinstance(value, str) or len(value) != 2:
        return []
    both = [str(one) for one in value]
    return both if all(re.fullmatch(_ORIENTATION, one) for one in both) else []


def _made(film: Dataset) -> datetime:
    """The first usable date of content, acquisition, series and study, with its time."""
    for of in ("Content", "Acquisition", "Series", "Study"):
        date, time = _matching(_text(film, f"{of}Date"), _DATE), _matching(_text(film, f"{of}Time"), _TIME)
        try:
            return datetime.strptime(date + time.partition(".")[0].ljust(6, "0"), "%Y%m%d%H%M%S")
        except ValueError:  # absent or impossible
            continue
    return _NO_DATE
