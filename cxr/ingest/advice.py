"""What is likely not meant: no test set, rows without films, films without rows, a split for some rows only."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from cxr.core.files import utf8
from cxr.films.dicom import DICOM_SUFFIXES
from cxr.films.manifest import SPLITS
from cxr.ingest.config import DataSection
from cxr.ingest.layouts import SUFFIXES, Candidate, files_under


def advice(candidates: Sequence[Candidate], settings: DataSection) -> list[str]:
    """One line for each thing that is likely not meant, with its remedy; opens no film."""
    found = []
    given = {split: [one for one in candidates if one.split == split] for split in SPLITS}
    if not given["test"] and settings.test_fraction == 0:
        found.append(
            "no test set: the films name none and data.test_fraction is 0, so results are those of validation, which "
            "chose the epoch and the threshold; set data.test_fraction: 0.2"
        )
    without = [one for one in candidates if one.split is None]
    if without and len(without) < len(candidates):
        found.append(
            f"{len(without)} of {len(candidates)} films name no split and join train, such as {without[0].name}; "
            f"name a split for each film or for none"
        )
    if settings.layout != "medmnist":
        found += _no_files(candidates, Path(settings.root))
    if settings.layout in ("csv", "dicom"):
        found += _rows_and_films(candidates, settings)
    return found


def _no_files(candidates: Sequence[Candidate], root: Path) -> Iterator[str]:
    """Links to folders, whose films nobody sees; and what DVC stops at, or waits at for ever."""
    folders = (Path(folder, name) for folder, below, _ in os.walk(root) for name in below)
    linked = [folder for folder in folders if folder.is_symlink()]
    if linked:
        yield f"{len(linked)} folders under {root} are links and left out, such as {linked[0]}; copy them here"
    special = [one.address for one in candidates if os.path.lexists(one.address) and not os.path.isfile(one.address)]
    if special:
        yield (
            f"{len(special)} entries under {root} are no files, such as {special[0]}; rename or remove them: DVC stops "
            "at a link to nothing and at a socket, and waits for ever at a pipe"
        )
    odd = [one.address for one in candidates if utf8(one.address) != one.address]
    if odd:
        yield f"{len(odd)} names under {root} are not UTF-8, such as {utf8(odd[0])}; rename them: DVC stops at them"


def _rows_and_films(candidates: Sequence[Candidate], settings: DataSection) -> list[str]:
    csv, found = f"{settings.root}/{settings.labels_csv}", []
    lost = [one for one in candidates if not os.path.lexists(one.address)]
    if lost:
        found.append(
            f"{csv}: {len(lost)} of {len(candidates)} rows name a file that is not there, such as {lost[0].name}; "
            f"add the file, or correct or remove the row"
        )
    named = {one.name for one in candidates}
    suffixes = DICOM_SUFFIXES if settings.layout == "dicom" else SUFFIXES
    names = [path.relative_to(settings.root).as_posix() for path in files_under(Path(settings.root), settings)]
    spare = [name for name in names if name.lower().endswith(suffixes) and name not in named]
    if spare:
        found.append(
            f"{csv}: {len(spare)} films under {settings.root} have no row and are left out, such as {spare[0]}; "
            f"add rows for them, or move them elsewhere"
        )
    return found
