"""Settings for films of unknown origin: class folders, a label table, or an .npz file."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxr.commands.cohorts import NEUTRAL, Proposal, complete
from cxr.core.errors import CxrError
from cxr.films.dicom import DICOM_SUFFIXES
from cxr.ingest.config import DataSection
from cxr.ingest.entries import SPLIT_NAMES, files_under, looks_like_film
from cxr.ingest.labels import BLANK
from cxr.ingest.names import FilmNames
from cxr.ingest.patients import suggest_pattern
from cxr.ingest.table import Table, nfc, read_table

TABLES = re.compile(r"\.(csv|tsv|txt)(\.gz)?$", re.IGNORECASE)
NEGATIVE = re.compile(r"^(normal|no.?finding|negative|healthy|control|no|neg|0|0\.0|false|정상)$", re.IGNORECASE)
LABEL = re.compile(r"label|class|target|finding|diagnos|pneumonia|status|y$", re.IGNORECASE)
PATIENT = re.compile(r"(patient|subject|person|case).*(id|no|num)|^(patient|subject|pid)$", re.IGNORECASE)
SPLIT = re.compile(r"split|fold|subset|partition|^set$", re.IGNORECASE)
MOST = 20  # distinct labels
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
    names = FilmNames(films, str(root.resolve()))
    some = table.rows[:ROWS]
    counts = {column: sum(len(names.find(row[column])) == 1 for row in some if row[column]) for column in table.columns}
    path = max(counts, key=lambda column: counts[column], default="")
    if not path or counts[path] < len(some) / 2:
        return None
    label = _label_column(table, path)
    if not label:
        return None
    values = Counter(row[label] for row in table.rows if row[label].casefold() not in BLANK)
    classes, mapped = _classes(list(values))
    if any(row[label].casefold() in BLANK for row in table.rows):
        mapped["blank"] = "exclude"
    dicom = all(film.lower().endswith(DICOM_SUFFIXES) for film in films)
    patient = next((column for column in table.columns if PATIENT.search(column) and column != path), "")
    split = next((one for one in table.columns if SPLIT.search(one) and _only_splits(table, one)), "")
    columns = {**NEUTRAL["columns"], "path": path, "label": label}
    columns |= {key: value for key, value in (("patient_id", patient), ("split", split)) if value}
    settings: dict[str, Any] = {
        "layout": "dicom" if dicom else "csv",
        "classes": classes,
        "label_map": mapped,
        "labels_csv": name,
        "columns": columns,
        "patient_from": "column",
    }
    if not patient:
        settings |= {"patient_from": "dicom"} if dicom else _patients(films)
    why = [f"column {path!r} names {counts[path]} of the first {len(some)} films", f"column {label!r} has the labels"]
    return Proposal(
        f"{root}: label table {name} of unknown origin", why, _to_confirm(settings), complete(root, settings)
    )


def _label_column(table: Table, path: str) -> str:
    few = []
    for column in table.columns:
        values = {row[column] for row in table.rows} - BLANK
        if column != path and 2 <= len(values) <= MOST and not SPLIT.search(column) and not PATIENT.search(column):
            few.append(column)
    named = [column for column in few if LABEL.search(column)]
    return (named or few or [""])[0]


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
    for name in names:
        parts = [nfc(part) for part in name.split("/")[:-1] if part.lower() not in SPLIT_NAMES]
        counts[parts[0] if parts else ""] += 1
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
