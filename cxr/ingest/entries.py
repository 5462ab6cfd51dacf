"""Films of a cohort before they are opened: files under the root, and what their paths say."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxr.core.files import utf8
from cxr.films.find import FILM_SUFFIXES, has_film_mark, read_head
from cxr.ingest.config import DataSection
from cxr.ingest.findings import Finding, warning
from cxr.ingest.masks import mask_folders
from cxr.ingest.table import nfc

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
LEFTOVERS = ("Thumbs.db", "desktop.ini")  # of Windows
OTHER_SUFFIXES = (".csv", ".txt", ".md", ".json", ".xml", ".xlsx", ".xls", ".pdf", ".zip", ".gz", ".npz", ".db")


@dataclass(frozen=True)
class FilmEntry:
    """A film of the cohort before it is opened."""

    address: str  # as `cxr.films.read` takes it
    name: str  # relative to the root
    label: str  # class name
    split: str | None  # None when not given
    patient_id: str | None  # from a column or the path pattern
    attributes: dict[str, str] = field(default_factory=dict)


def files_under(root: Path, settings: DataSection) -> list[str]:
    """Files that may be films, relative to the root: not hidden, ignored, masks or an archive tool's leftovers.

    Folders with the suffix of a film and dangling links are included: they are quarantined with a reason.
    """
    masks = {folder.relative_to(root).as_posix() for folder in mask_folders(settings) if folder.is_relative_to(root)}
    ignored = {nfc(name).strip("/") for name in settings.ignore}
    found = []
    for folder, below, files in os.walk(root):
        inside = os.path.relpath(folder, root)
        prefix = "" if inside == "." else f"{inside}/"
        kept = []
        for name in below:
            path = f"{prefix}{name}"
            if name.startswith(".") or name == "__MACOSX" or path in masks or {nfc(name), nfc(path)} & ignored:
                continue
            kept.append(name)
            if name.lower().endswith(FILM_SUFFIXES):
                found.append(path)
        below[:] = kept
        found += [f"{prefix}{name}" for name in files if not name.startswith(".") and name not in LEFTOVERS]
    return sorted(found)


def looks_like_film(root: Path, name: str) -> bool:
    """Whether a file is a film by its suffix or, with an unknown suffix, by its first bytes."""
    lower = name.lower()
    if lower.endswith(FILM_SUFFIXES):
        return True
    if lower.endswith(OTHER_SUFFIXES):
        return False
    return has_film_mark(read_head(root / name))


def split_of(name: str, settings: DataSection) -> str | None:
    """The split, or `exclude`, that a name means by `data.split_map` or in one of the usual spellings; None if none."""
    mapped = {nfc(key).casefold(): split for key, split in settings.split_map.items()}
    key = nfc(name).casefold()
    return mapped.get(key) or SPLIT_NAMES.get(key)


def from_path(name: str, settings: DataSection) -> dict[str, str]:
    """The named groups of `data.path_pattern` in a film's relative path; empty where a group does not match."""
    if settings.path_pattern == "none":
        return {}
    pattern = re.compile(settings.path_pattern)
    match = pattern.search(nfc(name))
    return {group: (match[group] or "") if match else "" for group in pattern.groupindex}


def film_entry(root: Path, name: str, label: str, split: str | None, groups: dict[str, str]) -> FilmEntry:
    """An entry for a file; `groups` may hold `patient_id`, its others become attributes."""
    patient = groups.pop("patient_id", None)
    return FilmEntry((root / name).as_posix(), nfc(name), label, split, patient, groups)


def irregular_files(entries: Sequence[FilmEntry], root: Path) -> Iterator[Finding]:
    """Warnings about links to folders, which are not followed, and about files on which DVC fails or blocks."""
    folders: Iterable[Path] = (Path(folder, name) for folder, below, _ in os.walk(root) for name in below)
    linked = [str(folder) for folder in folders if folder.is_symlink()]
    if linked:
        yield warning(f"{len(linked)} folders under {root} are links and are skipped", "copy them here", linked)
    special = [one.address for one in entries if os.path.lexists(one.address) and not os.path.isfile(one.address)]
    if special:
        yield warning(
            f"{len(special)} entries under {root} are not regular files",
            "rename or remove them: DVC fails on dangling links and sockets, and blocks on pipes",
            special,
        )
    odd = [one.address for one in entries if utf8(one.address) != one.address]
    if odd:
        yield warning(f"{len(odd)} names under {root} are not UTF-8", "rename them: DVC fails on them", odd)
