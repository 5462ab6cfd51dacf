"""Faults in the rows of a label table, and what to do about each kind."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxr.core.errors import did_you_mean
from cxr.ingest.config import DataSection
from cxr.ingest.entries import SPLIT_NAMES, FilmEntry
from cxr.ingest.findings import Finding, error, warning
from cxr.ingest.labels import MOST
from cxr.ingest.table import Table

VIEWS = ("view", "view position", "viewposition", "frontal/lateral", "projection", "viewcodesequence_codemeaning")
LATERAL = ("lateral", "l", "ll", "lat", "llat", "rlat", "rl", "left lateral")


@dataclass
class RowFaults:
    """Places of each kind of fault, in the order of the rows."""

    shared: list[str] = field(default_factory=list)  # names that several films have
    labels: list[str] = field(default_factory=list)  # films with two labels
    ruled: list[str] = field(default_factory=list)  # films with two labels, of which the rules choose one
    splits: list[str] = field(default_factory=list)
    patients: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # rows without a file
    unknown_splits: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def row_findings(csv: Path, faults: RowFaults, films: int, settings: DataSection) -> list[Finding]:
    """One finding per kind of fault, with its places.

    Args:
        csv: the table.
        faults: what was found in its rows.
        films: the films that it names.
        settings: the section `data`.
    """
    found = []
    if faults.missing:
        kind = error if len(faults.missing) > settings.max_quarantined * max(films, 1) else warning
        found.append(
            kind(
                f"{csv}: {len(faults.missing)} of {films} rows name a missing file",
                "add the file, or correct or remove the row"
                + (", or set data.layout: csv for films that are not DICOM" if settings.layout == "dicom" else ""),
                faults.missing,
            )
        )
    for places, problem, remedy in (
        (faults.shared, "rows have a name that several films share", "give the path of the film relative to data.root"),
        (faults.labels, "films have rows with two labels", "keep one label for a film"),
        (faults.splits, "films have rows with two splits", "keep one split for a film"),
        (faults.patients, "films have rows with two patients", "keep one patient for a film"),
    ):
        if places:
            found.append(error(f"{csv}: {len(places)} {problem}", remedy, places))
    if faults.ruled:
        problem = f"{csv}: {len(faults.ruled)} films have rows of two classes"
        found.append(warning(problem, "the first of data.label_rules that applies to any row decides", faults.ruled))
    if faults.unknown_splits:
        unknown = sorted(faults.unknown_splits.items(), key=lambda item: -len(item[1]))
        named = ", ".join(f"{raw!r} ({len(places)})" for raw, places in unknown[:MOST])
        named += f" and {len(unknown) - MOST} other names" if len(unknown) > MOST else ""
        near = did_you_mean(next(iter(faults.unknown_splits)), SPLIT_NAMES)
        places = [place for each in faults.unknown_splits.values() for place in each]
        found.append(
            error(
                f"{csv}: unknown split {named}; expected train, val or test{near}",
                "correct them, or set data.split_map",
                places,
            )
        )
    return found


def lateral_findings(csv: Path, table: Table, entries: Sequence[FilmEntry]) -> list[Finding]:
    """A warning about films that the table itself calls lateral."""
    for column in table.columns:
        if column.lower() in VIEWS:
            found = [entry for entry in entries if entry.attributes.get(column, "").lower() in LATERAL]
            if found:
                values = sorted({entry.attributes[column] for entry in found})
                rules = " and ".join(f"{{column: {column}, value: {value}, label: exclude}}" for value in values)
                return [
                    warning(
                        f"{csv}: {len(found)} films are lateral by column {column!r}",
                        f"leave them out: put {rules} first in data.label_rules",
                        [entry.name for entry in found],
                    )
                ]
    return []
