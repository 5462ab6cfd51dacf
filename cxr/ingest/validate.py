"""Everything about a cohort that can be decided without opening every film: one function for ingest and the check."""

import os
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.films.manifest import SPLITS, Record
from cxr.ingest.cohort import Leak, assign_splits, find_leaks, image_ids, without_leaks
from cxr.ingest.config import DataSection
from cxr.ingest.entries import FilmEntry, irregular_files
from cxr.ingest.findings import Finding, error, errors, of_fault, warning
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
        training: None for ingest, which opens the films anyway. The check gives the training patients per class that
            `train.balance` needs, and DICOM headers are sampled for patients.
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
        findings.append(of_fault(fault))
    if not errors(findings):
        findings += _split_findings(entries, known, settings, key, training)
    return entries, findings


def _unusable(entries: Sequence[FilmEntry], settings: DataSection) -> list[Finding]:
    lost = [one.address for one in entries if os.path.lexists(one.address) and not _has_content(one.address)]
    if len(lost) <= settings.max_quarantined * len(entries):
        return []
    problem = f"{settings.root}: {len(lost)} of {len(entries)} films are empty or no files"
    problem += f", more than data.max_quarantined ({settings.max_quarantined:g})"
    return [error(problem, "replace or remove them", lost)]


def _has_content(address: str) -> bool:
    return os.path.isfile(address) and os.path.getsize(address) > 0


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
    found = leak_findings(leaks, settings)
    kept = records if settings.on_leakage == "error" else without_leaks(records, leaks)
    if settings.patient_from != "dicom" or training is not None:  # else the split is known when the films are opened
        found += class_findings(kept, {entry.split for entry in entries}, settings)
    if training is not None and not errors(found):
        found += _few_patients(kept, training)
    return found


def class_findings(records: Sequence[Record], given: Collection[str | None], settings: DataSection) -> list[Finding]:
    """Classes without a film, or without one in a split: an error in train and val, which training needs.

    Args:
        records: the films that are kept, with their splits.
        given: the splits that the cohort gives; None for films without one.
        settings: the section `data`.
    """
    classes = Counter(record.label for record in records)
    absent = [name for name in settings.classes if not classes[name]]
    if absent:
        remedy = "correct data.classes, data.label_map or data.label_rules"
        return [error(f"params.yaml: data.classes: no film of class {name!r}", remedy) for name in absent]
    if not any(record.split == "train" for record in records):
        dropped = "train" in given or None in given
        remedy = "correct the splits, since data.on_leakage drops all of them" if dropped else "name the split of each"
        return [error(f"no film is left to train on: {len(records)} are in other splits", remedy)]
    found = []
    for split in SPLITS:
        there = {record.label for record in records if record.split == split}
        lacking = [name for name in settings.classes if name not in there]
        if lacking and (there or split != "test"):
            cut = split not in given or (split == "val" and settings.cuts_validation)
            remedy = FOLD_REMEDY if split == "val" and settings.fold != "none" else _remedy(split, cut)
            names = " and ".join(map(repr, lacking))
            severity = warning if split == "test" else error
            found.append(severity(f"split '{split}' has no film of class {names}", remedy))
    return found


def _few_patients(records: Sequence[Record], needed: int) -> list[Finding]:
    """A warning for each class of fewer training patients than `train.balance: acquisition` needs."""
    patients: dict[str, set[str]] = defaultdict(set)
    for record in records:
        if record.split == "train":
            patients[record.label].add(record.patient_id)
    return [
        warning(
            f"{len(own)} training patients of class {name!r}: train.balance: acquisition needs {needed}, else the "
            "films of a class are drawn equally",
            "add patients, or set train.balance: sampler",
        )
        for name, own in patients.items()
        if len(own) < needed
    ]


def leak_findings(leaks: Sequence[Leak], settings: DataSection) -> list[Finding]:
    """An error, or with `data.on_leakage: drop_from_train` a warning, about patients and films in two splits."""
    if not leaks:
        return []
    counts = Counter(leak.kind for leak in leaks)
    found = " and ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items())
    where = [f"{leak.kind} {leak.who} in {' and '.join(leak.paths)}" for leak in leaks]
    if settings.on_leakage == "error":
        remedy = "correct the split or set data.on_leakage: drop_from_train"
        return [error(f"leakage: {found} in two splits", remedy, where)]
    remedy = "their films in train, or in val if test has them, are dropped (data.on_leakage)"
    return [warning(f"leakage: {found} in two splits", remedy, where)]


def _remedy(split: str, cut: bool) -> str:
    if split == "train":
        return "add films, or lower data.val_fraction and data.test_fraction"
    if cut:
        return f"add patients of it, or raise data.{split}_fraction"
    if split == "val":
        return "add films, or set data.published_val: merge to cut another one from train"
    return "add films"
