"""Opening each film once: its shape and hashes, or the reason why it cannot be used."""

import copy
import functools
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import cxr.films
import cxr.ingest
from cxr.core.code import code_version
from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.films.read import DICOM_SUFFIXES, Film, read_bytes, read_film
from cxr.ingest.config import DataSection
from cxr.ingest.layouts import Candidate
from cxr.parallel.film_cache import Entry, FilmCache, cache_root, spec_key

MAX_ASPECT = 3.0  # longer side over shorter side; no frontal film is longer
MIN_LEVELS = 16  # distinct grey levels; masks, logos and text pages have fewer
MAX_COLOURED = 0.1  # share of pixels with a visible hue; marks on a film cover less


@dataclass(frozen=True)
class Finding:
    """What opening a film showed. `reason` is empty for a usable one."""

    reason: str = ""
    width: int = 0
    height: int = 0
    bits: int = 0
    film_hash: str = ""
    pixel_hash: str = ""
    patient_id: str = ""  # from the DICOM tag, where that is asked for
    header: dict[str, str] | None = None


class Inspector:
    """Inspects films over the per-film cache; picklable, so that workers can share one."""

    def __init__(self, settings: DataSection) -> None:
        self.min_px = settings.min_px
        self.tag = settings.patient_tag if settings.patient_from == "dicom" else ""
        version = code_version(*(Path(package.__path__[0]) for package in (cxr.ingest, cxr.films)))
        self.cache = FilmCache(cache_root(), "ingest", spec_key([str(self.min_px), self.tag, version]))

    def over_known_films(self) -> "Inspector | None":
        """The same, but it raises NotCached instead of opening a film; None when no film is known."""
        reader, other = self.cache.reader(), copy.copy(self)
        if reader is None:
            return None
        other.cache = reader
        return other

    def __call__(self, candidate: Candidate) -> Finding:
        """Open one film. A film that cannot be used is a finding, never an error."""
        try:
            content = read_bytes(candidate.address)
        except CxrError as error:
            return Finding(reason=_why(error, candidate))
        film_hash = digest(content)
        key = digest(film_hash.encode(), Path(candidate.address).suffix.encode())  # the suffix decides the decoder
        facts, _ = self.cache.get_or_compute(key, functools.partial(self._open, candidate, content))
        return Finding(film_hash=film_hash, **facts)

    def _open(self, candidate: Candidate, content: bytes) -> Entry:
        try:
            film = read_film(candidate.address, content)
            patient = _dicom_tag(candidate.address, content, self.tag) if self.tag else ""
        except CxrError as error:
            return {"reason": _why(error, candidate)}, b""
        height, width = film.grey.shape
        facts: dict[str, Any] = {
            "reason": unusable(film, self.min_px),
            "width": width,
            "height": height,
            "bits": film.bits,
            "pixel_hash": digest(np.array(film.grey.shape).tobytes(), film.grey.tobytes()),
            "patient_id": patient,
            "header": film.header,
        }
        return facts, b""


def unusable(film: Film, min_px: int) -> str:
    """Why a decoded film is no chest film that can be used, or an empty string."""
    height, width = film.grey.shape
    short, long = sorted((height, width))
    if short < min_px:
        return f"tiny: {width}x{height}, shorter side under data.min_px = {min_px}"
    if film.grey.min() == film.grey.max():
        return f"constant: every pixel is {film.grey[0, 0]}"
    if film.coloured > MAX_COLOURED:
        return f"not a radiograph: {film.coloured:.0%} of the pixels are coloured"
    if long > MAX_ASPECT * short:
        return f"not a radiograph: {width}x{height} is longer than {MAX_ASPECT:g} to 1"
    levels = np.count_nonzero(cv2.calcHist([film.grey], [0], None, [256], [0, 256]))
    if levels < MIN_LEVELS:
        return f"not a radiograph: {levels} grey levels"
    return ""


def _dicom_tag(address: str, content: bytes, keyword: str) -> str:
    import pydicom

    if not address.lower().endswith(DICOM_SUFFIXES):
        raise CxrError(f"{address}: patient_from: dicom, but this is no DICOM file; use a column or a pattern")
    value = str(pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True).get(keyword, "") or "")
    if not value:
        raise CxrError(f"{address}: DICOM tag {keyword} is empty; name another in data.patient_tag")
    return value


def _why(error: CxrError, candidate: Candidate) -> str:
    """The message without the address, which has a column of its own (and may differ between equal films)."""
    return "unreadable: " + str(error).removeprefix(f"{candidate.address}: ")
