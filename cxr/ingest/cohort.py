"""From films to the manifest: records, splits by patient, leakage, the audit report."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.films.manifest import FIELDS, SPLITS, Record
from cxr.ingest.config import FOLDS, DataSection
from cxr.ingest.entries import FilmEntry
from cxr.ingest.film import FilmFacts
from cxr.ingest.masks import reference_masks
from cxr.ingest.pseudonyms import pseudonym

MAX_BYTES = 160  # of an image id; file systems allow 255, and stages add suffixes


def image_ids(candidates: Sequence[FilmEntry]) -> list[str]:
    """A unique id per film: the stem of its name, or its whole path where two films share a stem."""
    stems = Counter(Path(candidate.name).stem for candidate in candidates)
    ids = []
    for candidate in candidates:
        stem = Path(candidate.name).stem
        ids.append(_safe(stem if stems[stem] == 1 else candidate.name.replace("/", "__")))
    for image_id, count in Counter(ids).items():
        if count > 1:
            names = [candidate.name for candidate, other in zip(candidates, ids, strict=True) if other == image_id]
            raise CxrError(f"{names[0]} and {names[1]}: same image id {image_id!r}; rename one")
    return ids


def _safe(text: str) -> str:
    """A text as part of a file name: letters, digits and `._-` in composed form, no leading dot, at most MAX_BYTES."""
    safe = re.sub(r"[^\w.-]", "_", unicodedata.normalize("NFC", text))
    safe = "_" + safe[1:] if safe.startswith(".") else safe
    if len(safe.encode()) > MAX_BYTES:
        safe = safe.encode()[: MAX_BYTES - 9].decode(errors="ignore") + "_" + digest(safe.encode())[:8]
    return safe


def film_records(usable: list[tuple[FilmEntry, FilmFacts]], settings: DataSection, key: bytes) -> list[Record]:
    """One record per usable film, with an empty split where none is given.

    With `key`, patient ids are hashed; with an empty key they are kept.

    Raises:
        CxrError: a film has no patient, or two films have the same image id.
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


def _attributes(candidate: FilmEntry, finding: FilmFacts) -> dict[str, str]:
    found = {**(finding.header or {}), **candidate.attributes}
    return {name: value for name, value in found.items() if name not in (*FIELDS, "classes")}


def _patient(candidate: FilmEntry, finding: FilmFacts, image_id: str, settings: DataSection, key: bytes) -> str:
    if settings.patient_from == "image":
        return pseudonym(image_id, key)
    named = pseudonym(candidate.patient_id or "", key)
    patient = finding.patient_id if settings.patient_from == "dicom" else named
    if not patient:
        remedies = {
            "pattern": f"no patient_id in its path by data.path_pattern {settings.path_pattern!r}; correct it",
            "column": f"column {settings.columns.patient_id!r} is empty; fill it",
            "dicom": f"DICOM tag {settings.patient_tag} is empty; name another in data.patient_tag",
        }
        raise CxrError(f"{candidate.address}: {remedies[settings.patient_from]} or set data.patient_from")
    return patient


def assign_splits(records: Sequence[Record], settings: DataSection) -> list[Record]:
    """Keep the given splits, and cut missing ones from train by patient, stratified by label.

    Patients who share an identical film stay together. Within each stratum patients are ranked by a seeded hash of
    their id, so that a film added later moves at most one patient of its stratum. With `data.fold`, a given validation
    set is pooled with train, and the fold is the new one; the folds of one seed share no patient and cover all.
    """
    pool, fold = settings.cuts_validation, settings.fold
    current = [replace(r, split="train" if r.split == "" or (pool and r.split == "val") else r.split) for r in records]
    share = (0.0, settings.val_fraction) if fold == "none" else (fold / FOLDS, (fold + 1) / FOLDS)
    for split, (start, end) in (("test", (0.0, settings.test_fraction)), ("val", share)):
        if end > 0 and not any(record.split == split for record in current):
            current = _cut(current, split, start, end, settings.seed)
    return current


def linked_groups(records: Sequence[Record]) -> list[int]:
    """A group number per film, shared by films of one patient and films with identical pixels."""
    nodes: dict[str, int] = {}
    edges = []
    for index, record in enumerate(records):
        for name in (f"patient {record.patient_id}", f"pixels {record.pixel_hash}"):
            edges.append((index, len(records) + nodes.setdefault(name, len(nodes))))
    total = len(records) + len(nodes)
    rows, columns = zip(*edges, strict=True)
    graph = coo_array(([1] * len(edges), (rows, columns)), shape=(total, total))
    _, labels = connected_components(graph, directed=False)
    return [int(label) for label in labels[: len(records)]]


def _cut(records: list[Record], split: str, start: float, end: float, seed: int) -> list[Record]:
    """Move the groups of each stratum whose rank lies between two shares of it from train to `split`."""
    groups = linked_groups(records)
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    strata: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for group, indices in members.items():
        if all(records[index].split == "train" for index in indices):
            strata[tuple(sorted({records[index].label for index in indices}))].append(group)

    def rank(group: int) -> str:
        name = min(records[index].patient_id for index in members[group])
        return digest(str(seed).encode(), split.encode(), name.encode())

    moved = set()
    for stratum in strata.values():
        moved.update(sorted(stratum, key=rank)[round(start * len(stratum)) : round(end * len(stratum))])
    return [
        replace(record, split=split) if group in moved else record
        for record, group in zip(records, groups, strict=True)
    ]


@dataclass(frozen=True)
class Leak:
    """One patient, or one film with identical copies, in several splits."""

    kind: str  # patient or film
    who: str  # the patient id, or the path of one of the identical films
    paths: tuple[str, ...]  # one film from each split


def find_leaks(records: Sequence[Record]) -> list[Leak]:
    """Patients and identical films that occur in more than one split, in a stable order."""
    leaks = []
    for kind, key in (("patient", "patient_id"), ("film", "pixel_hash")):
        seen: dict[str, dict[str, str]] = defaultdict(dict)
        for record in records:
            seen[getattr(record, key)].setdefault(record.split, record.path)
        for name, paths in sorted(seen.items()):
            if len(paths) > 1:
                shown = tuple(paths[split] for split in SPLITS if split in paths)
                leaks.append(Leak(kind, name if kind == "patient" else shown[0], shown))
    return leaks


def without_leaks(records: Sequence[Record], leaks: Sequence[Leak]) -> list[Record]:
    """The films without those that leak: they leave train, and also validation where test has them."""
    if not leaks:
        return list(records)
    groups = linked_groups(records)
    ranks = {split: rank for rank, split in enumerate(SPLITS)}
    kept: dict[int, int] = defaultdict(int)
    for record, group in zip(records, groups, strict=True):
        kept[group] = max(kept[group], ranks[record.split])
    return [r for r, group in zip(records, groups, strict=True) if ranks[r.split] == kept[group]]


def audit_report(
    records: Sequence[Record], quarantined: Counter[str], dropped: int, leaks: Sequence[Leak], classes: Sequence[str]
) -> dict[str, Any]:
    """Counts for data/audit.json: films and patients by split and class, quarantined and dropped films."""
    splits = {}
    for split in SPLITS:
        films = [record for record in records if record.split == split]
        splits[split] = {
            "films": len(films),
            "patients": len({record.patient_id for record in films}),
            **{name: sum(record.label == name for record in films) for name in classes},
        }
    labels: dict[str, set[str]] = defaultdict(set)
    for record in records:
        labels[record.pixel_hash].add(record.label)
    return {
        "films": len(records),
        "patients": len({record.patient_id for record in records}),
        "splits": splits,
        "quarantined": sum(quarantined.values()),
        "quarantined_by_reason": dict(sorted(quarantined.items())),
        "leaks_found": len(leaks),
        "dropped_for_leakage": dropped,
        "identical_films": len(records) - len(labels),
        "identical_films_with_two_labels": sum(len(names) > 1 for names in labels.values()),
    }
