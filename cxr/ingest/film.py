"""Inspection of one film at ingest: a pure function of its bytes, cached per film."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cxr.acquisition.statistics import acquisition_statistics
from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.films.dicom import dicom_tag, is_dicom
from cxr.films.film import NotAChestFilm, reduced, rejection_reason
from cxr.films.letterbox import Image
from cxr.films.read import Source, decode
from cxr.films.reduced import keep_reduced
from cxr.ingest.pseudonyms import pseudonym

SIDE = 48  # pixels of a thumbnail


@dataclass(frozen=True)
class FilmFacts:
    """The facts of one film. `reason` is empty for a usable film."""

    reason: str = ""
    width: int = 0
    height: int = 0
    bits: int = 0
    film_hash: str = ""
    pixel_hash: str = ""
    patient_id: str = ""  # from the DICOM tag, with patient_from: dicom; hashed with a key
    header: dict[str, str] | None = None
    acquisition: list[float] | None = None  # the values of cxr.acquisition.statistics.GREY_STATISTICS
    burned_in: bool = False  # BurnedInAnnotation of the DICOM header: text in the pixels
    skipped: tuple[str, ...] = ()  # DICOM display attributes that cannot be used, each with its reason
    thumbnail: bytes = b""  # for cxr.ingest.near_duplicates


def inspect_film(source: Source, min_px: int, patient_tag: str, key: bytes) -> tuple[dict[str, Any], bytes]:
    """The fields of a film's `FilmFacts`, and its thumbnail. An unusable film gets a reason; it is not an error.

    The reduced film is kept for the stages that follow.

    Args:
        source: the film's bytes.
        min_px: shortest side accepted, pixels.
        patient_tag: DICOM keyword that names the patient; empty when the patient is found elsewhere.
        key: hashes the patient's id; empty keeps it.
    """
    found: dict[str, Any] = {"film_hash": source.film_hash}
    try:
        film = decode(source)
        patient = pseudonym(_patient(source, patient_tag), key) if patient_tag else ""
    except NotAChestFilm as error:
        return {**found, "reason": _reason(error, source.address)}, b""
    except CxrError as error:
        return {**found, "reason": unreadable(error, source.address)}, b""
    width, height = film.size
    reason, small = rejection_reason(film, min_px), reduced(film)
    if not reason:
        keep_reduced(source, small)
    facts = {
        **found,
        "reason": reason,
        "width": width,
        "height": height,
        "bits": film.bits,
        "pixel_hash": digest(np.array([height, width]).tobytes(), small.grey.tobytes()),
        "patient_id": patient,
        "header": film.header,
        "acquisition": acquisition_statistics(small.grey).tolist(),
        "burned_in": film.burned_in,
        "skipped": list(film.skipped),
    }
    return facts, thumbnail(small.grey).tobytes()


def unreadable(error: CxrError, address: str) -> str:
    """The reason for a film that cannot be read or decoded."""
    return "unreadable: " + _reason(error, address)


def _reason(error: CxrError, address: str) -> str:
    """The message without the address, which has its own column (and may differ between identical films)."""
    return str(error).removeprefix(f"{address}: ")


def _patient(source: Source, keyword: str) -> str:
    if not is_dicom(source.address, source.content):
        raise CxrError(f"{source.address}: patient_from: dicom, but not a DICOM file; use column or pattern")
    patient = dicom_tag(source.address, source.content, keyword)
    if not patient:
        raise CxrError(f"{source.address}: DICOM tag {keyword} is empty; name another in data.patient_tag")
    return patient


def thumbnail(grey: Image) -> Image:
    """A film (height, width) resized to (SIDE, SIDE), without its aspect."""
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
