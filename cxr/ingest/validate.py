"""Everything about a cohort that can be decided without opening every film: one function for ingest and the check."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.films.manifest import SPLITS, Record
from cxr.ingest.cohort import Leak, assign_splits, find_leaks, image_ids, leak_text, resolve_leaks
from cxr.ingest.config import DataSection
from cxr.ingest.entries import FilmEntry, irregular_files
from cxr.ingest.findings import Finding, error, errors, warning
from cxr.ingest.layouts import find_entries
from cxr.ingest.masks import mask_findings
from cxr.ingest.patients import dicom_patients, patient_findings
from cxr.ingest.pseudonyms import pseudonym

FOLD_REMEDY = "add patients of it: each fold (data.fold) needs one"


def validate_cohort(
    settings: DataSection, key: bytes, training: int | None = None
) -> tuple[list[FilmEntry], list[Finding]]:
    """The films of the cohort and all findings; no film is opened.

    Args:
        settings: the section `data`.
        key: hashes patient ids before they are shown; empty keeps them.
        training: None for ingest, which reports what later stages need as warnings. The check gives the patients per
            class that training needs; these findings are errors then, and DICOM headers are sampled.
    """
    entries, findings = find_entries(settings)
    if not entries:
        return entries, findings
    if settings.layout != "medmnist":
        findings += _unusable(entries, settings)
        findings += irregular_files(entries, Path(settings.root))
    findings += patient_findings(entries, settings)
    known: dict[str, str] = {}
    if settings.patient_from == "dicom" and training is not None:
        known, missing = dicom_patients(entries, settings)
        findings += missing
    findings += mask_findings([entry.name for entry in entries], settings)
    findings += _given_splits(entries, settings)
    try:
        image_ids(entries)
    except CxrError as fault:
        problem, _, remedy = str(fault).rpartition("; ")
        findings.append(error(problem, remedy))
    if not errors(findings):
        findings += _split_findings(entries, known, settings, key, training)
    return entries, findings


def stop_at_errors(findings: Sequence[Finding]) -> None:
    """Raise CxrError with one line per error, if there are any."""
    found = errors(findings)
    if found:
        raise CxrError("\n".join(map(str, found)))


def _unusable(entries: Sequence[FilmEntry], settings: DataSection) -> list[Finding]:
    lost = [one.address for one in entries if os.path.lexists(one.address) and not os.path.isfile(one.address)]
    if len(lost) <= settings.max_quarantined * len(entries):
        return []
    problem = f"{settings.root}: {len(lost)} of {len(entries)} films are no files, more than data.max_quarantined"
    return [error(problem, "replace or remove them", lost)]


def _given_splits(entries: Sequence[FilmEntry], settings: DataSection) -> list[Finding]:
    found = []
    if settings.test_fraction == 0 and not any(one.split == "test" for one in entries):
        found.append(
            warning(
                "no test set: none is given and data.test_fraction is 0, so results are on validation films, which "
                "also selected epoch and threshold",
                "set data.test_fraction: 0.2",
            )
        )
    without = [one.name for one in entries if one.split is None]
    if without and len(without) < len(entries):
        found.append(
            warning(
                f"{len(without)} of {len(entries)} films have no split and join train",
                "give a split for every film or for none",
                without,
            )
        )
    return found


def planned_records(
    entries: Sequence[FilmEntry], known: dict[str, str], settings: DataSection, key: bytes
) -> list[Record]:
    """Records with the splits that ingest will assign, as far as names and the table decide it.

    Args:
        entries: the films.
        known: patients from DICOM headers by the film's name; a film that is not in it counts as a patient of its own.
        settings: the section `data`.
        key: hashes patient ids.
    """
    records = []
    for entry, image_id in zip(entries, image_ids(entries), strict=True):
        patient = known.get(entry.name, "") if settings.patient_from == "dicom" else entry.patient_id
        if settings.patient_from == "image" or not patient:
            patient = image_id
        identity = pseudonym(patient, key)
        split = entry.split or ""
        records.append(Record(image_id, entry.address, entry.label, identity, split, 0, 0, 0, "", entry.name, ""))
    return assign_splits(records, settings)


def _split_findings(
    entries: Sequence[FilmEntry], known: dict[str, str], settings: DataSection, key: bytes, training: int | None
) -> list[Finding]:
    """Leakage by name and table, and classes that a split lacks."""
    records = planned_records(entries, known, settings, key)
    leaks = find_leaks(records)
    found = []
    if leaks:
        found.append(_leak_finding(leaks, settings))
    kept = records if settings.on_leakage == "error" else resolve_leaks(records, settings.on_leakage)[0]
    kind = warning if training is None else error
    classes = Counter(record.label for record in kept)
    absent = [name for name in settings.classes if not classes[name]]
    if absent:
        found += [
            kind(
                f"params.yaml: data.classes: no film of class {name!r}",
                "correct data.classes, data.label_map or data.label_rules",
            )
            for name in absent
        ]
        return found
    given = {entry.split for entry in entries}
    for split in SPLITS:
        there = {record.label for record in kept if record.split == split}
        lacking = [name for name in settings.classes if name not in there]
        if lacking and (there or split != "test"):
            severe = kind if split != "test" else warning
            names = " and ".join(map(repr, lacking))
            cut = split not in given or (split == "val" and settings.cuts_validation)
            remedy = FOLD_REMEDY if split == "val" and settings.fold != "none" else _remedy(split, cut)
            found.append(severe(f"split '{split}' has no film of class {names}", remedy))
    patients: dict[str, set[str]] = defaultdict(set)
    for record in kept:
        if record.split == "train":
            patients[record.label].add(record.patient_id)
    for name, own in patients.items():
        if training is not None and len(own) < training:
            found.append(
                error(
                    f"{len(own)} training patients of class {name!r}: train.balance: acquisition needs {training}",
                    "add patients, or set train.balance: sampler",
                )
            )
    return found


def _leak_finding(leaks: Sequence[Leak], settings: DataSection) -> Finding:
    if settings.on_leakage == "error":
        problem, _, remedy = leak_text(leaks).rpartition("; ")
        return error(problem, remedy)
    return warning(
        f"leakage: {len(leaks)} patients in two splits",
        "their films in train, or in val if test has them, are dropped (data.on_leakage)",
        [leak.who for leak in leaks],
    )


def _remedy(split: str, cut: bool) -> str:
    if split == "train":
        return "add films, or lower data.val_fraction and data.test_fraction"
    if cut:
        return f"add patients of it, or raise data.{split}_fraction"
    if split == "val":
        return "add films, or set data.published_val: merge to cut another one from train"
    return "add films"
