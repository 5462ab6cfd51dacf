"""Reference labels of films that a bundle has answered about: from a CSV, or from the names of class folders."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import pandas as pd

from cxr.core.errors import CxrError, did_you_mean

PATIENT, LABEL, PATH = "patient_id", "label", "path"


def from_folders(films: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """Labels of films that lie in class folders (…/NORMAL/a.jpeg): columns film and label.

    Raises:
        CxrError: a film lies under no folder named like a class.
    """
    by_name = {name.lower(): name for name in classes}
    rows = []
    for film in films:
        found = [by_name[part.lower()] for part in PurePosixPath(film).parts[:-1] if part.lower() in by_name]
        if not found:
            raise CxrError(
                f"{film}: no folder named {' or '.join(classes)} above it, whatever the case; "
                "lay the films out so, or give --labels with columns path and label"
            )
        rows.append({"film": film, LABEL: found[-1]})
    return pd.DataFrame(rows)


def from_csv(path: str, films: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """Labels from a CSV with columns path and label, and any others, such as patient_id: one row a film that it names.

    A path is matched with the end of a film's address, or with its file name, or with that without suffix. A label is
    the name of a class, whatever the case, or its index. Films that the file does not name are left out.

    Raises:
        CxrError: the file cannot be read, lacks a column, names no film, or has a label that is no class.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise CxrError(f"{path}: not a readable CSV ({error})") from error
    for column in (PATH, LABEL):
        if column not in table.columns:
            raise CxrError(f"{path}: no column {column!r}; it has {', '.join(map(repr, table.columns))}")
    known = _by_ending(films)
    table["film"] = [known.get(name.strip().lstrip("./"), "") for name in table[PATH]]
    found = table[table["film"] != ""].drop_duplicates("film")
    if found.empty:
        raise CxrError(f"{path}: names none of the {len(films)} films (first row: {table[PATH].iloc[:1].tolist()})")
    found = found.assign(**{LABEL: [_class_of(raw, path, classes) for raw in found[LABEL]]})
    return found.drop(columns=PATH).reset_index(drop=True)


def patients(table: pd.DataFrame, pattern: str) -> "pd.Series[str]":
    """Who each film is of: the column patient_id, or what the pattern finds in its address, or the film itself."""
    if PATIENT in table.columns:
        return table[PATIENT].where(table[PATIENT] != "", table["film"])
    if not pattern:
        return table["film"]
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise CxrError(f"--patient {pattern!r}: not a regular expression: {error}") from error
    found = [expression.search(film) for film in table["film"]]
    return pd.Series(
        [film if one is None else one[min(one.re.groups, 1)] for film, one in zip(table["film"], found, strict=True)]
    )


def _by_ending(films: Sequence[str]) -> dict[str, str]:
    """Films by every ending of their address and by their stem; an ending that two films share names neither."""
    known: dict[str, str] = {}
    twice = set()
    for film in films:
        parts = film.split("/")
        endings = {"/".join(parts[at:]) for at in range(len(parts))} | {film, PurePosixPath(film).stem}
        for ending in endings:
            if known.setdefault(ending, film) != film:
                twice.add(ending)
    return {ending: film for ending, film in known.items() if ending not in twice}


def _class_of(raw: str, path: str, classes: Sequence[str]) -> str:
    by_name = {name.lower(): name for name in classes}
    name = raw.strip().lower()
    if name in by_name:
        return by_name[name]
    if name.isdigit() and int(name) < len(classes):
        return classes[int(name)]
    raise CxrError(
        f"{path}: label {raw!r} is no class of the bundle ({', '.join(classes)}){did_you_mean(raw, classes)}"
    )
