"""Train, validation and test sets by patient."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cxr.core.files import digest
from cxr.films.manifest import Record
from cxr.ingest.config import DataSection


def assign_splits(records: Sequence[Record], settings: DataSection) -> list[Record]:
    """Honour the splits that are given and cut what is missing from train, by patient, stratified by label.

    Patients who share an identical film move together. Within each stratum patients are ranked by a seeded hash of
    their name, so that a film added later moves at most one patient of its stratum.
    """
    pool = settings.published_val == "merge"
    current = [replace(r, split="train" if r.split == "" or (pool and r.split == "val") else r.split) for r in records]
    for split, fraction in (("test", settings.test_fraction), ("val", settings.val_fraction)):
        if fraction > 0 and not any(record.split == split for record in current):
            current = _cut(current, split, fraction, settings.seed)
    return current


def linked_groups(records: Sequence[Record]) -> list[int]:
    """A group number for each film: films of one patient, or with identical pixels, share it."""
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


def _cut(records: list[Record], split: str, fraction: float, seed: int) -> list[Record]:
    """Move a share of the groups of each stratum from train to `split`."""
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
        moved.update(sorted(stratum, key=rank)[: round(fraction * len(stratum))])
    return [
        replace(record, split=split) if group in moved else record
        for record, group in zip(records, groups, strict=True)
    ]
