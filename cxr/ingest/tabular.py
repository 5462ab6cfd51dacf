"""The layouts `csv` and `dicom`: labels, patients and splits of the films come from a table."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.films.find import film_stem, is_dicom_file
from cxr.ingest.config import EXCLUDE, DataSection, inside
from cxr.ingest.entries import FilmEntry, files_under, film_entry, from_path, looks_like_film, split_of
from cxr.ingest.findings import SHOWN, Finding, error, of_fault, warning
from cxr.ingest.labels import LabelReader
from cxr.ingest.names import FilmNames
from cxr.ingest.rows import RowFaults, lateral_findings, row_findings
from cxr.ingest.table import TABLES, Table, join_columns, nfc, read_table


def table_entries(root: Path, settings: DataSection) -> tuple[list[FilmEntry], list[Finding]]:
    """The films that the label table names, and findings about its rows; no films where it cannot be read."""
    csv = inside(root, settings.labels_csv)
    if not csv.is_file():
        return [], [error(f"{csv}: no such file", _other_table(root, settings))]
    if not Path(os.path.abspath(csv)).is_relative_to(os.path.abspath(root)):
        problem = f"params.yaml: data.labels_csv: {settings.labels_csv} is outside data.root ({root})"
        return [], [error(problem, "move the table there, since DVC follows changes inside data.root only")]
    try:
        tables = _read_tables(csv, settings)
        lists = _split_lists(root, settings)
    except CxrError as fault:
        return [], [of_fault(fault)]
    names = _film_files(root, settings)
    films = FilmNames(names, str(root.resolve()))
    labels, faults = LabelReader(settings), RowFaults()
    entries: dict[str, FilmEntry] = {}
    decided: dict[str, tuple[int, str]] = {}  # place of the rule, and class or exclude, of each film
    used: set[str] = set()
    for table in tables:
        found, absent = _columns(table, settings)
        if absent:
            return [], [_no_column(table, name, settings) for name in absent]
        for line, row in zip(table.lines, table.rows, strict=True):
            where, given = f"{table.path}:{line}", row[found["path"]]
            label, place = labels.read_row(row[found["label"]] if "label" in found else "", where, row)
            meant = films.find(given)
            used.update(meant)
            if len(meant) > 1 and label not in (None, EXCLUDE):
                faults.shared.append(f"{where} {given!r} ({meant[0]}, {meant[1]})")
            if label is None or len(meant) > 1:
                continue
            name = meant[0] if meant else films.relative(given)
            _decide(decided, name, (place, label), f"{where} {given!r}", faults)
            if label == EXCLUDE:
                continue
            if not meant:
                faults.missing.append(f"{where} {given!r}")
            groups = from_path(name, settings)
            groups.pop("label", None)
            raw = row.get(found.get("split", ""), "") or groups.pop("split", "")
            split = _split(raw, where, name, lists, settings, faults)
            if split == EXCLUDE:
                labels.excluded[f"{settings.columns.split}: {raw}"] += 1
                continue
            extra = {key: value for key, value in row.items() if key not in found.values()}
            if settings.patient_from == "column":
                groups["patient_id"] = row[found["patient_id"]]
            entry = film_entry(root, name, label, split, {**extra, **groups})
            # A film may have several rows, one per finding or reader.
            first = entries.setdefault(name, entry)
            if first.split != entry.split:
                faults.splits.append(f"{where} {given!r}, both {first.split or 'none'} and {entry.split or 'none'}")
            if first.patient_id != entry.patient_id:
                faults.patients.append(f"{where} {given!r}")
    kept = [replace(one, label=decided[name][1]) for name, one in entries.items() if decided[name][1] != EXCLUDE]
    findings = [warning(problem, remedy) for problem, remedy in dict.fromkeys(tables[0].notes)]
    findings += labels.findings(str(csv)) + row_findings(csv, faults, len(entries), settings)
    if kept and lists and not any(one.split for one in kept):
        problem = f"{csv}: none of its {len(kept)} films is in data.split_lists"
        remedy = "give one film per line by file name, or without its suffix"
        findings.append(error(problem, remedy, [kept[0].name, next(iter(lists))]))
    spare = [name for name in names if name not in used and looks_like_film(root, name)]
    if spare:
        findings.append(
            warning(
                f"{csv}: {len(spare)} films under {root} have no row and are skipped",
                f"add rows for them, or move them elsewhere{_more_rows(root, tables[0], names, settings)}",
                spare,
            )
        )
    findings += lateral_findings(csv, tables[0], kept)
    return kept, findings


def _more_rows(root: Path, table: Table, names: Sequence[str], settings: DataSection) -> str:
    """A remedy that names another table with the same columns, where there is one."""
    for name in names:
        if TABLES.search(name):
            try:
                if set(table.columns) <= set(read_table(root / name).columns):
                    return f", or add the rows of {name}: data.tables: [{{csv: {name}}}]"
            except CxrError:
                continue
    return ""


def _other_table(root: Path, settings: DataSection) -> str:
    """The remedy where `data.labels_csv` is missing: the tables that are there."""
    found = [name for name in files_under(root, settings) if TABLES.search(name)]
    if not found:
        return "set data.labels_csv to the label file inside data.root"
    return f"set data.labels_csv to the label file; {root} has {', '.join(found[:SHOWN])}"


def _read_tables(csv: Path, settings: DataSection) -> list[Table]:
    """`data.labels_csv` and the tables of `data.tables` that have more rows, each joined with those that have a key."""
    root = Path(settings.root)
    for one in settings.tables:
        if not inside(root, one.csv).is_file():
            raise CxrError(f"{root / one.csv}: no such file; correct data.tables")
    rows = [read_table(csv), *(read_table(inside(root, one.csv)) for one in settings.tables if not one.on)]
    for one in settings.tables:
        if one.on:
            other = read_table(inside(root, one.csv))
            rows = [join_columns(table, other, one.on) for table in rows]
    return [replace(rows[0], notes=[note for table in rows for note in table.notes]), *rows[1:]]


def _decide(
    decided: dict[str, tuple[int, str]], name: str, row: tuple[int, str], where: str, faults: RowFaults
) -> None:
    """Keep the class of a film: of several rows, the one whose rule comes first in `data.label_rules`."""
    first = decided.setdefault(name, row)
    if first[1] != row[1] and first[0] == row[0]:
        faults.labels.append(f"{where}, both {first[1]!r} and {row[1]!r}")
    elif first[1] != row[1]:
        decided[name] = min(first, row)
        if EXCLUDE not in (first[1], row[1]):
            faults.ruled.append(f"{where}, both {first[1]!r} and {row[1]!r}")


def _no_column(table: Table, name: str, settings: DataSection) -> Finding:
    """An error for a column that is missing; where the classes are columns, it says how to read these."""
    classes = {one.casefold() for one in settings.classes}
    own = [column for column in table.columns if column.casefold() in classes]
    if name == settings.columns.label and own:
        rules = ", ".join(f"{{column: {one}, value: 1, label: {one.casefold()}}}" for one in own)
        remedy = f"the classes are columns: set data.columns.label: none and data.label_rules: [{rules}]"
        return error(f"{table.path}: {table.no_column(name)}", remedy)
    return error(f"{table.path}: {table.no_column(name)}", "name yours in data.columns")


def _film_files(root: Path, settings: DataSection) -> list[str]:
    """Files that rows may name; with layout dicom only DICOM files. A film comes before a folder of its name."""
    tables = {settings.labels_csv, *settings.split_lists.values(), *(one.csv for one in settings.tables)}
    tables = {nfc(name) for name in tables}
    names = [name for name in files_under(root, settings) if nfc(name) not in tables]
    if settings.layout == "dicom":
        names = [name for name in names if is_dicom_file(root / name)]
        folders = {name for name in names if (root / name).is_dir()}
        stems = {film_stem(Path(name).name) for name in names if name not in folders} | {
            Path(name).name for name in names
        }
        names = [name for name in names if name not in folders or film_stem(Path(name).name) not in stems]
    return names


def _columns(table: Table, settings: DataSection) -> tuple[dict[str, str], list[str]]:
    """The table's column for each of `data.columns`, and the names of those that are missing."""
    columns = settings.columns
    wanted = {"path": columns.path}
    if columns.label != "none":
        wanted["label"] = columns.label
    if settings.patient_from == "column":
        wanted["patient_id"] = columns.patient_id
    found = {key: column for key, name in wanted.items() if (column := table.column(name))}
    absent = [name for key, name in wanted.items() if key not in found]
    absent += [rule.column for rule in settings.label_rules if rule.column and rule.column not in table.columns]
    for key, name in (("split", columns.split), ("patient_id", columns.patient_id)):
        if key not in found and (column := table.column(name)):
            found[key] = column
    return found, list(dict.fromkeys(absent))


def _split_lists(root: Path, settings: DataSection) -> dict[str, str]:
    """The split of each name in the files of `data.split_lists`, by the name and by its stem."""
    splits: dict[str, str] = {}
    for split, name in settings.split_lists.items():
        path = inside(root, name)
        if not path.is_file():
            raise CxrError(f"{path}: no such file; correct data.split_lists: {split}")
        for line in path.read_text(encoding="utf-8-sig", errors="replace").splitlines():
            film = nfc(line).replace("\\", "/").rsplit("/", 1)[-1]
            if film and splits.setdefault(film, split) != split:
                raise CxrError(f"{path}: {film} is also in the list of {splits[film]}; keep one")
    return splits


def _split(
    raw: str, where: str, name: str, lists: Mapping[str, str], settings: DataSection, faults: RowFaults
) -> str | None:
    if lists:
        film = nfc(name).rsplit("/", 1)[-1]
        return lists.get(film) or lists.get(Path(film).stem)
    split = split_of(raw, settings)
    if split is None and raw:
        faults.unknown_splits[raw].append(where)
    return split
