"""Settings for films of unknown origin: class folders, a label table, or an .npz file."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxr.commands.cohorts import NEUTRAL, Proposal, complete
from cxr.core.errors import CxrError
from cxr.core.files import utf8
from cxr.films.dicom import DICOM_SUFFIXES
from cxr.films.find import FILM_SUFFIXES
from cxr.ingest.config import DataSection
from cxr.ingest.entries import SPLIT_NAMES, files_under, looks_like_film
from cxr.ingest.labels import BLANK, list_separator
from cxr.ingest.names import FilmNames
from cxr.ingest.patients import suggest_pattern
from cxr.ingest.table import TABLES, Table, nfc, read_table

NEGATIVE = re.compile(r"^(normal|no.?finding|negative|healthy|control|no|neg|0|0\.0|false|정상)$", re.IGNORECASE)
LABEL = re.compile(r"label|class|target|finding|diagnos|pneumonia|status|y$", re.IGNORECASE)
PATIENT = re.compile(r"(patient|subject|person|case).*(id|no|num)|^(patient|subject|pid)$", re.IGNORECASE)
PNEUMONIA = re.compile(r"^pneumonia$", re.IGNORECASE)
FLAGS = {"0", "1", "0.0", "1.0", "-1", "-1.0", ""}
SPLIT = re.compile(r"split|fold|subset|partition|^set$", re.IGNORECASE)
MOST = 20  # distinct labels
MANY = 200  # distinct findings in lists
ROWS = 200  # of a table that are compared with the films
MASKS = re.compile(r"mask", re.IGNORECASE)
CLASSES = ("normal", "pneumonia")


def propose(folder: Path) -> Proposal:
    """The section `data` for films of unknown origin.

    Raises:
        CxrError: there are no films, or neither class folders nor a label table that names them.
    """
    if folder.is_file():
        why = ["an .npz file with images and labels"]
        settings = {"layout": "medmnist", "classes": list(CLASSES), "min_px": 28}
        return Proposal(f"{folder}: a file of unknown origin", why, [], complete(folder, settings))
    section = DataSection.model_validate(complete(folder, {"classes": list(CLASSES)}))
    files = files_under(folder, section)
    films = [name for name in files if looks_like_film(folder, name)]
    if not films:
        raise CxrError(f"{folder}: no films; copy films or DICOM files there")
    odd = next((name for name in films if utf8(name) != name), "")
    if odd:
        raise CxrError(utf8(f"{folder}: {odd}: the name is not UTF-8; rename it, DVC fails on it"))
    tables = [name for name in files if TABLES.search(name) and name.count("/") <= 1]
    for name in tables:
        found = _from_table(folder, name, films)
        if found:
            return found
    return _from_folders(folder, films, tables)


def _from_table(root: Path, name: str, films: Sequence[str]) -> Proposal | None:
    """Settings for the table, if one of its columns names films and another has few values; None otherwise."""
    try:
        table = read_table(root / name)
    except CxrError:
        return None
    masks = {part for film in films for part in film.split("/")[:-1] if MASKS.search(part)}
    plain = [film for film in films if masks.isdisjoint(film.split("/"))]
    masks, films = (masks, plain) if plain else (set(), films)
    names = FilmNames(films, str(root.resolve()))
    if any(names.find(column) for column in table.columns if column.lower().endswith(FILM_SUFFIXES)):
        if len(table.columns) == 1:  # a list of films
            return None
        raise CxrError(f"{table.path}: no header; add a first line with names of columns, such as path,label")
    some = table.rows[:ROWS]
    counts = {column: sum(len(names.find(row[column])) == 1 for row in some if row[column]) for column in table.columns}
    path = max(counts, key=lambda column: counts[column], default="")
    if not path or counts[path] < len(some) / 2:
        return None
    found = _label_settings(table, path)
    if not found:
        return None
    label, labels = found
    dicom = all(film.lower().endswith(DICOM_SUFFIXES) for film in films)
    patient = next((column for column in table.columns if PATIENT.search(column) and column != path), "")
    split = next((one for one in table.columns if SPLIT.search(one) and _only_splits(table, one)), "")
    columns = {**NEUTRAL["columns"], **labels.pop("columns"), "path": path}
    columns |= {key: value for key, value in (("patient_id", patient), ("split", split)) if value}
    settings: dict[str, Any] = {
        "layout": "dicom" if dicom else "csv",
        **labels,
        "labels_csv": name,
        "columns": columns,
        "patient_from": "column",
        "ignore": sorted(masks - {"lung_masks"}),
    }
    if not patient:
        settings |= {"patient_from": "dicom"} if dicom else _patients(films)
    why = [f"column {path!r} names {counts[path]} of the first {len(some)} films", f"{label} the labels"]
    return Proposal(
        f"{root}: label table {name} of unknown origin", why, _to_confirm(settings), complete(root, settings)
    )


def _label_settings(table: Table, path: str) -> tuple[str, dict[str, Any]] | None:
    """Where the labels are, in words, and the settings that read them; None where no column has few values."""
    rules = _rules_per_column(table)
    if rules:
        named = " and ".join(repr(rule["column"]) for rule in rules[:-1])
        return f"columns {named} have", {"columns": {"label": "none"}, "classes": list(CLASSES), "label_rules": rules}
    few = {}
    for column in table.columns:
        values = {row[column] for row in table.rows if row[column].casefold() not in BLANK}
        if column == path or SPLIT.search(column) or PATIENT.search(column):
            continue
        separator = list_separator(values, CLASSES) if LABEL.search(column) else ""
        parts = (part for value in values for part in (value.split(separator) if separator else [value]))
        findings = {part.strip(" []'\"") for part in parts} if separator else values
        if 2 <= len(findings) <= (MANY if separator else MOST):
            few[column] = (separator, findings)
    label = next(iter([*filter(LABEL.search, few), *few]), "")
    if not label:
        return None
    separator, findings = few[label]
    classes, mapped = _classes(sorted(findings))
    blank = any(row[label].casefold() in BLANK for row in table.rows)
    found: dict[str, Any] = {"classes": classes, "label_map": {**mapped, **({"blank": "exclude"} if blank else {})}}
    negative, positive = (next((one for one in findings if mark.search(one)), "") for mark in (NEGATIVE, PNEUMONIA))
    if separator and negative and positive:
        rules = [
            {"value": positive, "label": CLASSES[1]},
            {"value": negative, "label": CLASSES[0]},
            {"value": "*", "label": "exclude"},
        ]
        found = {"classes": list(CLASSES), "label_separator": separator, "label_rules": rules}
    elif separator:
        return None
    return f"column {label!r} has", {"columns": {"label": label}, **found}


def _rules_per_column(table: Table) -> list[dict[str, Any]]:
    """Rules for a table with a column per finding, if pneumonia and a negative finding are among them."""
    flags = [one for one in table.columns if {row[one] for row in table.rows} <= FLAGS]
    negative, positive = (next((one for one in flags if mark.search(one)), "") for mark in (NEGATIVE, PNEUMONIA))
    if not negative or not positive:
        return []
    found = [(positive, CLASSES[1]), (negative, CLASSES[0])]
    rules: list[dict[str, Any]] = [{"column": column, "value": 1, "label": label} for column, label in found]
    return [*rules, {"value": "*", "label": "exclude"}]


def _only_splits(table: Table, column: str) -> bool:
    return all(row[column].lower() in (*SPLIT_NAMES, "") for row in table.rows)


def _classes(values: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Class names, the negative one first, and a map from other spellings."""
    negative = [value for value in values if NEGATIVE.match(value)]
    others = sorted(value for value in values if value not in negative)
    if len(values) == 2 and len(negative) == 1:
        known = {value.casefold() for value in values} <= {"normal", "pneumonia", "0", "1", "0.0", "1.0"}
        if known:
            return list(CLASSES), {}
    folded = dict.fromkeys(nfc(value) for value in (*negative, *others))
    return list(folded), {}


def _patients(films: Sequence[str]) -> dict[str, Any]:
    pattern = suggest_pattern(films)
    return {"patient_from": "pattern", "path_pattern": pattern} if pattern else {"patient_from": "image"}


def _from_folders(root: Path, films: Sequence[str], tables: Sequence[str]) -> Proposal:
    """Settings for class folders, below wrapper folders that hold everything."""
    inner, names = root, list(films)
    while True:
        first = {name.split("/")[0] for name in names}
        if len(first) != 1 or any("/" not in name for name in names) or first.pop().lower() in SPLIT_NAMES:
            break
        inner = inner / names[0].split("/")[0]
        names = [name.partition("/")[2] for name in names]
    counts: Counter[str] = Counter()
    below: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        parts = [nfc(part) for part in name.split("/")[:-1] if part.lower() not in SPLIT_NAMES]
        counts[parts[0] if parts else ""] += 1
        below[parts[0] if parts else ""].update(parts[1:2])
    for folder in [one for one in counts if below[one] and below[one] <= counts.keys() - {one}]:
        del counts[folder]  # holds class folders as a split does; the check asks for data.split_map
    ignore = [folder for folder in counts if MASKS.search(folder) and folder != "lung_masks"]
    folders = [folder for folder in counts if folder and not MASKS.search(folder)]
    if len(folders) < 2 or len(folders) > MOST:
        seen = f"tables {', '.join(tables)} name no films and labels" if tables else "there is no label table"
        raise CxrError(
            f"{root}: {len(films)} films, but no class folders, and {seen}; "
            "move the films into one folder per class, or add labels.csv with columns path and label"
        )
    classes, mapped = _classes(folders)
    masks = any(MASKS.fullmatch(part) or part.lower() == "masks" for name in names for part in name.split("/")[1:-1])
    settings = {"layout": "folders", "classes": classes, "label_map": mapped, "ignore": ignore, **_patients(names)}
    if masks:
        settings["masks_dir"] = "*/masks"
    why = [f"folder {folder} with {counts[folder]} films" for folder in folders]
    return Proposal(f"{inner}: class folders of unknown origin", why, _to_confirm(settings), complete(inner, settings))


def _to_confirm(settings: dict[str, Any]) -> list[str]:
    """What only the owner of the films knows."""
    lines = [f"Check the order of the classes: {settings['classes'][-1]!r} is the positive one of two."]
    if settings["patient_from"] == "pattern":
        lines.append("Check data.path_pattern: only you know which number in a name is the patient.")
    elif settings["patient_from"] == "image":
        lines.append("No patient was found in names or table: each film counts as one, and splits may share patients.")
    return lines
