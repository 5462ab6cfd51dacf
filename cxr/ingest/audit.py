"""The leakage audit: no patient and no identical film on two sides of a split."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cxr.core.errors import CxrError
from cxr.films.manifest import SPLITS, Record
from cxr.ingest.split import linked_groups

SHOWN = 5  # culprits named in an error


@dataclass(frozen=True)
class Leak:
    """One patient, or one picture, in two splits or more."""

    kind: str  # patient or film
    who: str  # the patient id, or the path of one of the identical films
    paths: tuple[str, ...]  # one film from each split


def find_leaks(records: Sequence[Record]) -> list[Leak]:
    """Patients and identical films that lie in more than one split, in a stable order."""
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


def settle_leaks(records: Sequence[Record], policy: str) -> tuple[list[Record], list[Leak]]:
    """Stop on leakage, or drop the leaking films from train (and from validation, where test has them too).

    Raises:
        CxrError: the policy is `error` and a patient or an identical film lies in two splits.
    """
    leaks = find_leaks(records)
    if not leaks:
        return list(records), []
    if policy == "error":
        counts = Counter(leak.kind for leak in leaks)
        found = " and ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items())
        culprits = "; ".join(f"{leak.kind} {leak.who} in {' and '.join(leak.paths)}" for leak in leaks[:SHOWN])
        more = f"; and {len(leaks) - SHOWN} more" if len(leaks) > SHOWN else ""
        raise CxrError(
            f"leakage: {found} in two splits: {culprits}{more}; "
            "correct the split or set data.on_leakage: drop_from_train"
        )
    groups = linked_groups(records)
    ranks = {split: rank for rank, split in enumerate(SPLITS)}
    kept: dict[int, int] = defaultdict(int)
    for record, group in zip(records, groups, strict=True):
        kept[group] = max(kept[group], ranks[record.split])
    stay = [r for r, group in zip(records, groups, strict=True) if ranks[r.split] == kept[group]]
    return stay, leaks


def audit_report(
    records: Sequence[Record], quarantined: Counter[str], dropped: int, leaks: Sequence[Leak], classes: Sequence[str]
) -> dict[str, Any]:
    """What the cohort is made of: films and patients by split and class, and what was refused or dropped."""
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
