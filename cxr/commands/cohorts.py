"""Recognition of published cohorts by cohorts.yaml, and proposed settings for films of unknown origin."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from cxr.core.config import PARAMS_FILE, read_yaml
from cxr.core.errors import CxrError
from cxr.core.files import write_text
from cxr.films.find import FILM_SUFFIXES
from cxr.films.medmnist import medmnist_array, medmnist_names
from cxr.ingest.config import DataSection
from cxr.ingest.table import nfc, read_table

KNOWN = Path(__file__).parents[2] / "cohorts.yaml"
DEPTH = 3  # folders below the given one in which a cohort is searched
NEUTRAL: dict[str, Any] = {
    "layout": "folders",
    "label_map": {},
    "label_separator": "none",
    "label_rules": [],
    "path_pattern": "none",
    "patient_from": "image",
    "patient_tag": "PatientID",
    "patient_ids": "auto",
    "labels_csv": "labels.csv",
    "tables": [],
    "columns": {"path": "path", "label": "label", "patient_id": "patient_id", "split": "split"},
    "split_map": {},
    "split_lists": {},
    "ignore": [],
    "masks_dir": "auto",
    "published_val": "keep",
    "min_px": 64,
    "on_leakage": "error",
}


@dataclass(frozen=True)
class Proposal:
    """A cohort that was recognised, and the section `data` for it."""

    name: str
    why: list[str]  # the marks that hold, or how the settings were chosen
    know: list[str]  # what to know before trusting it, citation, licence and link
    data: dict[str, Any] = field(default_factory=dict)


def recognise(folder: Path) -> Proposal | None:
    """The published cohort in a folder, a folder below it, or an .npz file; None where no marks hold.

    Raises:
        CxrError: the folder is missing, or the cohort cannot be used; the message says why.
    """
    if not folder.exists():
        raise CxrError(f"{folder}: no such file or folder; copy the films there")
    entries = read_yaml(KNOWN)
    for root in _roots(folder):
        for entry in entries.values():
            held, table = _held(root, entry["marks"])
            if not held:
                continue
            about = [f"{key}: {entry[key]}" for key in ("citation", "licence", "link")]
            if "rejected" in entry:
                raise CxrError(f"{root}: this is {entry['name']}: {entry['rejected']}")
            settings = _filled(entry["settings"], root, table)
            return Proposal(entry["name"], held, [*entry["know"], *about], complete(root, settings))
    return None


def complete(root: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The whole section `data`: `settings`, neutral values, and the rest as params.yaml has it, in its order."""
    current = read_yaml(PARAMS_FILE)["data"]
    return {**current, **NEUTRAL, **settings, "root": root.as_posix()}


def as_yaml(data: dict[str, Any]) -> str:
    """The section as it stands in params.yaml."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = 4096
    yaml.dump({"data": data}, stream)
    return stream.getvalue()


def write_data_section(data: dict[str, Any]) -> None:
    """Put the section `data` into params.yaml; comments, order and the other sections stay.

    Raises:
        CxrError: the section is not valid.
    """
    DataSection.model_validate(data)
    yaml = YAML()
    yaml.width = 4096
    before = PARAMS_FILE.read_text(encoding="utf-8")
    document = yaml.load(before)
    section = document["data"]
    for key, value in data.items():
        if key == "columns":
            section[key].update(value)
        elif section.get(key) != value:
            section[key] = value
    stream = io.StringIO()
    yaml.dump(document, stream)
    write_text(PARAMS_FILE, _with_comments(stream.getvalue(), before))


def _with_comments(text: str, before: str) -> str:
    """The text with the comments behind keys of the section `data` as they stood before, which a new value may lose."""
    start, end = (re.search(r"^data:\n(?:[ #].*\n|\n)*", one, re.MULTILINE) for one in (before, text))
    if not start or not end:
        return text
    comments = dict(re.findall(r"^  (\w+):[^#\n]*(  # .*)$", start[0], re.MULTILINE))
    lines = end[0].split("\n")
    for at, line in enumerate(lines):
        key = re.match(r"  (\w+):", line)
        if key and key[1] in comments:
            lines[at] = line.partition(" #")[0].rstrip() + comments[key[1]]
    return text[: end.start()] + "\n".join(lines) + text[end.end() :]


def _roots(folder: Path) -> Iterator[Path]:
    """The folder, and those below it, nearest first."""
    yield folder
    level = [folder] if folder.is_dir() else []
    for _ in range(DEPTH):
        level = [
            below
            for one in level
            for below in sorted(one.iterdir())
            if below.is_dir() and not below.name.startswith((".", "__MACOSX"))
        ][:50]
        yield from level


def _held(root: Path, marks: dict[str, Any]) -> tuple[list[str], str]:
    """Each mark in words if all of them hold, else nothing; and the name of the table that was found."""
    held, table = [], ""
    if "name" in marks or "labels" in marks:
        if root.suffix != ".npz" or not root.is_file():
            return [], ""
        if "name" in marks and not re.fullmatch(marks["name"], root.name, re.IGNORECASE):
            return [], ""
        if "train_labels" not in medmnist_names(str(root)):
            return [], ""
        shape = medmnist_array(str(root), "train_labels").shape
        per_film = shape[1] if len(shape) > 1 else 1
        if per_film != marks["labels"]:
            return [], ""
        held.append(f"{per_film} label{'s' if per_film > 1 else ''} per film in {root.name}")
    elif not root.is_dir():
        return [], ""
    for name in marks.get("folders", []):
        if not (root / name).is_dir():
            return [], ""
        held.append(f"folder {name}")
    for pattern, columns in marks.get("table", {}).items():
        found = next((path for path in sorted(root.glob(pattern)) if _has_columns(path, columns)), None)
        if found is None:
            return [], ""
        table = found.relative_to(root).as_posix()
        held.append(f"{table} with columns {', '.join(columns)}")
    if "films" in marks:
        film = next((path for path in _some_films(root) if re.search(marks["films"], path.name)), None)
        if film is None:
            return [], ""
        held.append(f"films named like {film.name}")
    return held, table


def _some_films(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if path.name.lower().endswith(FILM_SUFFIXES):
            yield path


def _has_columns(path: Path, columns: list[str]) -> bool:
    try:
        table = read_table(path)
    except CxrError:
        return False
    return all(table.column(name) for name in columns)


def _existing(root: Path, pattern: str) -> str:
    """The file below the root that a pattern means; the pattern itself where there is none."""
    return next((path.relative_to(root).as_posix() for path in sorted(root.glob(pattern))), pattern)


def _filled(settings: dict[str, Any], root: Path, table: str) -> dict[str, Any]:
    """Settings with the name of the table, without lists that are missing, and without a second copy of the cohort."""
    filled: dict[str, Any] = {key: table if value == "{table}" else value for key, value in settings.items()}
    lists: dict[str, str] = settings.get("split_lists", {})
    if lists:
        there = {split: name for split, name in lists.items() if (root / name).is_file()}
        filled["split_lists"] = there if len(there) == len(lists) else {}
    if "tables" in filled:
        filled["tables"] = [{**one, "csv": _existing(root, one["csv"])} for one in filled["tables"]]
    if filled["layout"] == "folders" and "ignore" not in filled:
        known = {"train", "test", "val", *filled["classes"], *map(str.lower, filled.get("label_map", {}))}
        copies = [path.name for path in sorted(root.iterdir()) if path.is_dir() and nfc(path.name).lower() not in known]
        filled["ignore"] = [name for name in copies if not name.startswith((".", "__MACOSX")) and name != "lung_masks"]
    return filled
