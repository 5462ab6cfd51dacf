"""From opened films to records: ids that can be file names, attributes, and who each film is of."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.films.manifest import FIELDS, Record
from cxr.ingest.config import DataSection
from cxr.ingest.inspect import Finding
from cxr.ingest.layouts import Candidate
from cxr.ingest.pseudonyms import pseudonym
from cxr.ingest.reference_masks import reference_masks

MAX_BYTES = 160  # of an image id; file systems take 255, and stages add endings


def image_ids(candidates: Sequence[Candidate]) -> list[str]:
    """A unique id for each film: the stem of its name, or its whole path where two films share a stem."""
    stems = Counter(Path(candidate.name).stem for candidate in candidates)
    ids = []
    for candidate in candidates:
        stem = Path(candidate.name).stem
        ids.append(_safe(stem if stems[stem] == 1 else candidate.name.replace("/", "__")))
    for image_id, count in Counter(ids).items():
        if count > 1:
            names = [candidate.name for candidate, other in zip(candidates, ids, strict=True) if other == image_id]
            raise CxrError(f"{names[0]} and {names[1]}: both become image id {image_id!r}; rename one")
    return ids


def _safe(text: str) -> str:
    """A text as part of a file name: letters, digits and `._-` in their composed form, no leading dot, not too long."""
    safe = re.sub(r"[^\w.-]", "_", unicodedata.normalize("NFC", text))
    safe = "_" + safe[1:] if safe.startswith(".") else safe
    if len(safe.encode()) > MAX_BYTES:
        safe = safe.encode()[: MAX_BYTES - 9].decode(errors="ignore") + "_" + digest(safe.encode())[:8]
    return safe


def film_records(usable: list[tuple[Candidate, Finding]], settings: DataSection, key: bytes) -> list[Record]:
    """A record of each usable film, without a split where none is given; `key` hashes patient ids, empty keeps them.

    Raises:
        CxrError: a film is of no patient, or two films become one image id.
    """
    masks = reference_masks([candidate.name for candidate, _ in usable], settings)
    ids = image_ids([candidate for candidate, _ in usable])
    columns = sorted({name for candidate, finding in usable for name in _attributes(candidate, finding)})
    records = []
    for (candidate, finding), image_id in zip(usable, ids, strict=True):
        attributes = _attributes(candidate, finding)
        records.append(
            Record(
                image_id=image_id,
                path=candidate.address,
                label=candidate.label,
                patient_id=_patient(candidate, finding, image_id, settings, key),
                split=candidate.split or "",
                width=finding.width,
                height=finding.height,
                bits=finding.bits,
                film_hash=finding.film_hash,
                pixel_hash=finding.pixel_hash,
                mask_path=masks.get(candidate.name, ""),
                attributes={name: attributes.get(name, "") for name in columns},
            )
        )
    return records


def _attributes(candidate: Candidate, finding: Finding) -> dict[str, str]:
    found = {**(finding.header or {}), **candidate.attributes}
    return {name: value for name, value in found.items() if name not in (*FIELDS, "classes")}


def _patient(candidate: Candidate, finding: Finding, image_id: str, settings: DataSection, key: bytes) -> str:
    if settings.patient_from == "image":
        return pseudonym(image_id, key)
    named = pseudonym(candidate.patient_id or "", key)
    patient = finding.patient_id if settings.patient_from == "dicom" else named
    if not patient:
        remedies = {
            "pattern": f"data.path_pattern {settings.path_pattern!r} finds no patient_id in its path; correct it",
            "column": f"column {settings.columns.patient_id!r} is empty; fill it",
            "dicom": f"DICOM tag {settings.patient_tag} is empty; name another in data.patient_tag",
        }
        raise CxrError(f"{candidate.address}: {remedies[settings.patient_from]} or set data.patient_from")
    return patient
