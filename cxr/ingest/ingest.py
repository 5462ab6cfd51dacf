"""Ingest: candidates opened, refused or recorded, split, audited and written down."""

import functools
import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxr.compute.settings import Compute
from cxr.core.code import code_version
from cxr.core.errors import CxrError
from cxr.core.files import digest, write_csv, write_json
from cxr.films.acquisition_table import write_acquisition
from cxr.films.decoders import decoder_versions
from cxr.films.manifest import FIELDS, Record, write_manifest
from cxr.films.read import read_source
from cxr.ingest.advice import advice
from cxr.ingest.audit import audit_report, settle_leaks
from cxr.ingest.config import DataSection
from cxr.ingest.inspect import Finding, inspect_film, unreadable
from cxr.ingest.layouts import Candidate, find_candidates
from cxr.ingest.patients import require_patients
from cxr.ingest.reference_masks import reference_masks
from cxr.ingest.split import assign_splits
from cxr.parallel.film_cache import FilmCache, cache_root, spec_key
from cxr.parallel.map_cached import Work, map_cached

log = logging.getLogger(__name__)
Refused = tuple[Candidate, str]


def ingest(settings: DataSection, compute: Compute, folder: Path) -> None:
    """Write `manifest.csv`, `acquisition.csv`, `quarantine.csv` and `audit.json` into `folder`.

    Raises:
        CxrError: unusable settings or label file, too many films refused, a patient unknown, or leakage.
    """
    candidates = find_candidates(settings)
    require_patients(candidates, settings)
    for line in advice(candidates, settings):
        log.warning("%s", line)
    opened = list(zip(candidates, _findings(candidates, settings, compute), strict=True))
    refused = [(candidate, finding.reason) for candidate, finding in opened if finding.reason]
    _write_quarantine(folder / "quarantine.csv", refused)
    _check_quarantine(refused, len(candidates), folder / "quarantine.csv", settings)

    usable = [(candidate, finding) for candidate, finding in opened if not finding.reason]
    records = assign_splits(_records(usable, settings), settings)
    kept, leaks = settle_leaks(records, settings.on_leakage)
    dropped = len(records) - len(kept)
    for leak in leaks:
        log.warning("leakage: %s %s in %s", leak.kind, leak.who, " and ".join(leak.paths))
    reasons = Counter(reason.partition(":")[0] for _, reason in refused)
    report = audit_report(kept, reasons, dropped, leaks, settings.classes)
    write_manifest(folder / "manifest.csv", kept, settings.classes)
    found = {finding.film_hash: finding.acquisition or [] for _, finding in usable}
    write_acquisition(folder / "acquisition.csv", [(record.image_id, found[record.film_hash]) for record in kept])
    write_json(folder / "audit.json", report)
    log.info(
        "%d films of %d patients; %d refused, %d dropped for leakage",
        len(kept),
        report["patients"],
        len(refused),
        dropped,
    )


def _findings(candidates: Sequence[Candidate], settings: DataSection, compute: Compute) -> list[Finding]:
    tag = settings.patient_tag if settings.patient_from == "dicom" else ""
    versions = [f"{name} {version}" for name, version in decoder_versions().items()]
    spec = spec_key([str(settings.min_px), tag, code_version("cxr.ingest.inspect"), *versions])
    work = functools.partial(_open, settings.min_px, tag)
    entries = map_cached(work, candidates, FilmCache(cache_root(), "ingest", spec), compute, "ingest")
    return [Finding(**facts) for facts, _ in entries]


def _open(min_px: int, tag: str, candidate: Candidate) -> Work:
    try:
        source = read_source(candidate.address)
    except CxrError as error:
        reason = unreadable(error, candidate.address)
        return Work("", lambda: ({"reason": reason}, b""))
    # The suffix is part of the message about a damaged film.
    key = digest(source.film_hash.encode(), Path(candidate.address).suffix.encode())
    return Work(key, lambda: (inspect_film(source, min_px, tag), b""))


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
    return re.sub(r"[^\w.-]", "_", text)


def _records(usable: list[tuple[Candidate, Finding]], settings: DataSection) -> list[Record]:
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
                patient_id=_patient(candidate, finding, image_id, settings),
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


def _patient(candidate: Candidate, finding: Finding, image_id: str, settings: DataSection) -> str:
    if settings.patient_from == "image":
        return image_id
    patient = finding.patient_id if settings.patient_from == "dicom" else (candidate.patient_id or "")
    if not patient:
        remedies = {
            "pattern": f"data.path_pattern {settings.path_pattern!r} finds no patient_id in its path; correct it",
            "column": f"column {settings.columns.patient_id!r} is empty; fill it",
            "dicom": f"DICOM tag {settings.patient_tag} is empty; name another in data.patient_tag",
        }
        raise CxrError(f"{candidate.address}: {remedies[settings.patient_from]} or set data.patient_from")
    return patient


def _write_quarantine(path: Path, refused: list[Refused]) -> None:
    rows = [{"path": candidate.address, "reason": reason} for candidate, reason in refused]
    write_csv(path, pd.DataFrame(rows, columns=["path", "reason"]))


def _check_quarantine(refused: list[Refused], total: int, file: Path, settings: DataSection) -> None:
    if len(refused) == total or len(refused) > settings.max_quarantined * total:
        candidate, reason = refused[0]
        raise CxrError(
            f"{len(refused)} of {total} films cannot be used, more than data.max_quarantined = "
            f"{settings.max_quarantined:g}; the first: {candidate.address}: {reason}; all are in {file}"
        )
