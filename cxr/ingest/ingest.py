"""Ingest: candidates opened, refused or recorded, split, audited and written down."""

import functools
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.acquisition.table import write_acquisition
from cxr.core.code import code_version
from cxr.core.errors import CxrError
from cxr.core.files import digest, utf8, write_csv, write_json
from cxr.films.cache import FilmCache, FilmTask, cache_root, cached_map, spec_key
from cxr.films.manifest import write_manifest
from cxr.films.read import decoder_versions, read_source
from cxr.ingest.cohort import assign_splits, audit_report, film_records, resolve_leaks
from cxr.ingest.config import DEMO, DataSection
from cxr.ingest.film import SIDE, FilmFacts, inspect_film, unreadable
from cxr.ingest.layouts import FilmEntry, find_entries
from cxr.ingest.near_duplicates import near_duplicates
from cxr.ingest.pair_sheet import write_pairs
from cxr.ingest.preflight import cohort_warnings, require_patients
from cxr.ingest.pseudonyms import key_fingerprint, patient_key
from cxr.runtime.compute import Compute

log = logging.getLogger(__name__)
Refused = tuple[FilmEntry, str]


def ingest(settings: DataSection, compute: Compute, folder: Path) -> None:
    """Write `manifest.csv`, `acquisition.csv`, `quarantine.csv`, `audit.json` and `near_duplicates/` into `folder`.

    Raises:
        CxrError: unusable settings, key or label file, too many films refused, a patient unknown, or leakage.
    """
    key = patient_key(settings)
    candidates = find_entries(settings)
    require_patients(candidates, settings)
    for line in cohort_warnings(candidates, settings):
        log.warning("%s", line)
    opened = list(zip(candidates, _findings(candidates, settings, compute, key), strict=True))
    refused = [(candidate, finding.reason) for candidate, finding in opened if finding.reason]
    _write_quarantine(folder / "quarantine.csv", refused)
    _check_quarantine(refused, len(candidates), folder / "quarantine.csv", settings)

    usable = [(candidate, finding) for candidate, finding in opened if not finding.reason]
    records = assign_splits(film_records(usable, settings, key), settings)
    kept, leaks = resolve_leaks(records, settings.on_leakage)
    dropped = len(records) - len(kept)
    for leak in leaks:
        log.warning("leakage: %s %s in %s", leak.kind, leak.who, " and ".join(leak.paths))
    reasons = Counter(reason.partition(":")[0] for _, reason in refused)
    found = {finding.film_hash: finding for _, finding in usable}
    findings = [found[record.film_hash] for record in kept]
    thumbnails = [np.frombuffer(finding.thumbnail, np.uint8).reshape(SIDE, SIDE) for finding in findings]
    pairs = near_duplicates(kept, thumbnails, compute.n_workers)
    report = audit_report(kept, reasons, dropped, leaks, settings.classes) | {
        "likely_duplicates_across_splits": len(pairs),
        "burned_in_text": sum(finding.burned_in for finding in findings),
        "patient_ids": f"hashed, key {key_fingerprint(key)}" if key else "as they are",
        "synthetic": Path(settings.root) == DEMO,  # then Git may keep pictures of the films
    }
    _warn_burned_in([record.path for record, finding in zip(kept, findings, strict=True) if finding.burned_in])
    write_pairs(folder / "near_duplicates", pairs)
    write_manifest(folder / "manifest.csv", kept, settings.classes)
    rows = [(record.image_id, finding.acquisition or []) for record, finding in zip(kept, findings, strict=True)]
    write_acquisition(folder / "acquisition.csv", rows)
    write_json(folder / "audit.json", report)
    log.info(
        "%d films of %d patients; %d refused, %d dropped for leakage",
        len(kept),
        report["patients"],
        len(refused),
        dropped,
    )


def _findings(candidates: Sequence[FilmEntry], settings: DataSection, compute: Compute, key: bytes) -> list[FilmFacts]:
    tag = settings.patient_tag if settings.patient_from == "dicom" else ""
    versions = [f"{name} {version}" for name, version in decoder_versions().items()]
    spec = spec_key([str(settings.min_px), tag, key_fingerprint(key), code_version("cxr.ingest.film"), *versions])
    work = functools.partial(_open, settings.min_px, tag, key)
    entries = cached_map(work, candidates, FilmCache(cache_root(), "ingest", spec), compute, "ingest")
    return [FilmFacts(**facts, thumbnail=blob) for facts, blob in entries]


def _open(min_px: int, tag: str, patient_key: bytes, candidate: FilmEntry) -> FilmTask:
    try:
        if utf8(candidate.address) != candidate.address:
            raise CxrError("its name is not UTF-8, as tables are; rename it")
        source = read_source(candidate.address)
    except CxrError as error:
        reason = unreadable(error, candidate.address)
        return FilmTask("", lambda: ({"reason": reason}, b""))
    # The suffix is part of the message about a damaged film.
    key = digest(source.film_hash.encode(), Path(candidate.address).suffix.encode())
    return FilmTask(key, lambda: inspect_film(source, min_px, tag, patient_key))


def _warn_burned_in(paths: list[str]) -> None:
    if paths:
        log.warning(
            "%d films have text burned into their pixels, as their DICOM header says (BurnedInAnnotation), such as %s; "
            "look whether it names anybody, and paint it over or remove the film",
            len(paths),
            paths[0],
        )


def _write_quarantine(path: Path, refused: list[Refused]) -> None:
    rows = [{"path": utf8(candidate.address), "reason": reason} for candidate, reason in refused]
    write_csv(path, pd.DataFrame(rows, columns=["path", "reason"]))


def _check_quarantine(refused: list[Refused], total: int, file: Path, settings: DataSection) -> None:
    if len(refused) == total or len(refused) > settings.max_quarantined * total:
        candidate, reason = refused[0]
        raise CxrError(
            f"{len(refused)} of {total} films cannot be used, more than data.max_quarantined = "
            f"{settings.max_quarantined:g}; the first: {candidate.address}: {reason}; all are in {file}"
        )
