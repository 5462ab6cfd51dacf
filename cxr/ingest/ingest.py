"""The ingest stage: films are inspected, quarantined or recorded, split, and audited."""

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
from cxr.films.manifest import Record, write_manifest
from cxr.films.read import decoder_versions, read_source
from cxr.ingest.cohort import assign_splits, audit_report, film_records, find_leaks, without_leaks
from cxr.ingest.config import DEMO, DataSection
from cxr.ingest.entries import FilmEntry
from cxr.ingest.film import SIDE, FilmFacts, inspect_film, unreadable
from cxr.ingest.findings import SHOWN, stop_at_errors, write_findings
from cxr.ingest.near_duplicates import near_duplicates
from cxr.ingest.pair_sheet import write_pairs
from cxr.ingest.pseudonyms import key_fingerprint, patient_key
from cxr.ingest.validate import class_findings, leak_findings, validate_cohort
from cxr.runtime.compute import Compute

log = logging.getLogger(__name__)
Rejected = tuple[FilmEntry, str]


def ingest(settings: DataSection, compute: Compute, folder: Path) -> None:
    """Write manifest, acquisition features, quarantine, findings, audit report and likely duplicates into `folder`.

    Raises:
        CxrError: unusable settings, key or label file, too many films quarantined, an unknown patient,
            leakage, or no film of a class in train or val.
    """
    key = patient_key(settings)
    candidates, findings = validate_cohort(settings, key)
    listed = folder / "findings.csv"
    write_findings(listed, findings)
    stop_at_errors(findings, listed)
    for finding in findings:
        log.warning("%s", finding.text(listed))
    opened = list(zip(candidates, _inspect(candidates, settings, compute, key), strict=True))
    rejected = [(candidate, facts.reason) for candidate, facts in opened if facts.reason]
    _write_quarantine(folder / "quarantine.csv", rejected)
    _check_quarantine(rejected, len(candidates), folder / "quarantine.csv", settings)

    usable = [(candidate, facts) for candidate, facts in opened if not facts.reason]
    records = assign_splits(film_records(usable, settings, key), settings)
    leaks = find_leaks(records)
    kept = without_leaks(records, leaks) if settings.on_leakage == "drop_from_train" else records
    dropped = len(records) - len(kept)
    # Here and not at train, after the stages between: training needs films of every class in train and val.
    late = leak_findings(leaks, settings) + class_findings(kept, {one.split for one, _ in usable}, settings)
    write_findings(listed, [one for one in findings if one not in late] + late)
    stop_at_errors(late, listed)
    for finding in late:
        if finding not in findings:
            log.warning("%s", finding.text(listed))
    _warn_two_labels(records)
    reasons = Counter(reason.partition(":")[0] for _, reason in rejected)
    found = {facts.film_hash: facts for _, facts in usable}
    film_facts = [found[record.film_hash] for record in kept]
    thumbnails = [np.frombuffer(facts.thumbnail, np.uint8).reshape(SIDE, SIDE) for facts in film_facts]
    pairs = near_duplicates(kept, thumbnails, compute.n_workers)
    report = audit_report(kept, reasons, dropped, leaks, settings.classes) | {
        "likely_duplicates_across_splits": len(pairs),
        "display_attributes_skipped": dict(
            sorted(Counter(one for facts in film_facts for one in facts.skipped).items())
        ),
        "burned_in_text": sum(facts.burned_in for facts in film_facts),
        "patient_ids": f"hashed, key {key_fingerprint(key)}" if key else "as they are",
        "synthetic": Path(settings.root) == DEMO,  # images of synthetic films may be kept in Git
    }
    _warn_skipped(
        [record.path for record, facts in zip(kept, film_facts, strict=True) if facts.skipped],
        report["display_attributes_skipped"],
    )
    _warn_burned_in([record.path for record, facts in zip(kept, film_facts, strict=True) if facts.burned_in])
    write_pairs(folder / "near_duplicates", pairs)
    write_manifest(folder / "manifest.csv", kept, settings.classes)
    rows = [(record.image_id, facts.acquisition or []) for record, facts in zip(kept, film_facts, strict=True)]
    write_acquisition(folder / "acquisition.csv", rows)
    write_json(folder / "audit.json", report)
    log.info(
        "%d films of %d patients; %d quarantined, %d dropped for leakage",
        len(kept),
        report["patients"],
        len(rejected),
        dropped,
    )


def _inspect(candidates: Sequence[FilmEntry], settings: DataSection, compute: Compute, key: bytes) -> list[FilmFacts]:
    tag = settings.patient_tag if settings.patient_from == "dicom" else ""
    versions = [f"{name} {version}" for name, version in decoder_versions().items()]
    spec = spec_key([str(settings.min_px), tag, key_fingerprint(key), code_version("cxr.ingest.film"), *versions])
    work = functools.partial(_open, settings.min_px, tag, key)
    entries = cached_map(work, candidates, FilmCache(cache_root(), "ingest", spec), compute, "ingest")
    return [FilmFacts(**fields, thumbnail=blob) for fields, blob in entries]


def _open(min_px: int, tag: str, patient_key: bytes, candidate: FilmEntry) -> FilmTask:
    try:
        if utf8(candidate.address) != candidate.address:
            raise CxrError("the file name is not UTF-8; rename it")
        source = read_source(candidate.address)
    except CxrError as error:
        reason = unreadable(error, candidate.address)
        return FilmTask("", lambda: ({"reason": reason}, b""))
    # The suffix decides how a damaged film is decoded, and so its reason.
    key = digest(source.film_hash.encode(), Path(candidate.address).suffix.encode())
    return FilmTask(key, lambda: inspect_film(source, min_px, tag, patient_key))


def _warn_skipped(paths: list[str], counts: dict[str, int]) -> None:
    if paths:
        log.warning(
            "%d DICOM films, such as %s, have display attributes that cannot be used and are shown without them (%s); "
            "compare them with the viewer of their archive",
            len(paths),
            paths[0],
            ", ".join(f"{reason}: {count}" for reason, count in counts.items()),
        )


def _warn_two_labels(records: Sequence[Record]) -> None:
    """A warning about films with identical pixels and different labels, which no split or policy removes."""
    seen: dict[str, Record] = {}
    pairs = []
    for record in records:
        first = seen.setdefault(record.pixel_hash, record)
        if first.label != record.label:
            pairs.append(f"{first.path} ({first.label}) and {record.path} ({record.label})")
    if pairs:
        log.warning(
            "%d films have an identical copy with another label, such as %s; correct or remove one of each",
            len(pairs),
            "; ".join(pairs[:SHOWN]),
        )


def _warn_burned_in(paths: list[str]) -> None:
    if paths:
        log.warning(
            "%d films have text burned into their pixels by their DICOM header (BurnedInAnnotation), such as %s; "
            "check that it identifies no person, else mask it or remove the film",
            len(paths),
            paths[0],
        )


def _write_quarantine(path: Path, rejected: list[Rejected]) -> None:
    rows = [{"path": utf8(candidate.address), "reason": reason} for candidate, reason in rejected]
    write_csv(path, pd.DataFrame(rows, columns=["path", "reason"]))


def _check_quarantine(rejected: list[Rejected], total: int, file: Path, settings: DataSection) -> None:
    if len(rejected) == total or len(rejected) > settings.max_quarantined * total:
        candidate, reason = rejected[0]
        raise CxrError(
            f"{len(rejected)} of {total} films cannot be used, more than data.max_quarantined = "
            f"{settings.max_quarantined:g}; the first: {candidate.address}: {reason}; see {file} for all"
        )
