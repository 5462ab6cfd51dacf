"""Checks of a cohort's file names and label table before any film is opened."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from cxr.core.errors import CxrError
from cxr.core.files import utf8
from cxr.films.find import FILM_SUFFIXES, is_dicom_file
from cxr.films.manifest import SPLITS
from cxr.ingest.config import DataSection
from cxr.ingest.layouts import FilmEntry, files_under

SHAPES = 4  # kinds of file names that a suggested pattern covers


def cohort_warnings(candidates: Sequence[FilmEntry], settings: DataSection) -> list[str]:
    """One line per likely mistake, with its remedy; opens no film."""
    found = []
    given = {split: [one for one in candidates if one.split == split] for split in SPLITS}
    if not given["test"] and settings.test_fraction == 0:
        found.append(
            "no test set: none is given and data.test_fraction is 0, so results are on validation films, which also "
            "selected epoch and threshold; set data.test_fraction: 0.2"
        )
    without = [one for one in candidates if one.split is None]
    if without and len(without) < len(candidates):
        found.append(
            f"{len(without)} of {len(candidates)} films have no split and join train, such as {without[0].name}; "
            f"give a split for every film or for none"
        )
    if settings.layout != "medmnist":
        found += _irregular_files(candidates, Path(settings.root))
    if settings.layout in ("csv", "dicom"):
        found += _rows_and_films(candidates, settings)
    return found


def _irregular_files(candidates: Sequence[FilmEntry], root: Path) -> Iterator[str]:
    """Warnings about links to folders, which are not followed, and about files on which DVC fails or blocks."""
    folders = (Path(folder, name) for folder, below, _ in os.walk(root) for name in below)
    linked = [folder for folder in folders if folder.is_symlink()]
    if linked:
        yield f"{len(linked)} folders under {root} are links and are skipped, such as {linked[0]}; copy them here"
    special = [one.address for one in candidates if os.path.lexists(one.address) and not os.path.isfile(one.address)]
    if special:
        yield (
            f"{len(special)} entries under {root} are not regular files, such as {special[0]}; rename or remove them: "
            "DVC fails on dangling links and sockets, and blocks on pipes"
        )
    odd = [one.address for one in candidates if utf8(one.address) != one.address]
    if odd:
        yield f"{len(odd)} names under {root} are not UTF-8, such as {utf8(odd[0])}; rename them: DVC fails on them"


def _rows_and_films(candidates: Sequence[FilmEntry], settings: DataSection) -> list[str]:
    csv, found = f"{settings.root}/{settings.labels_csv}", []
    lost = [one for one in candidates if not os.path.lexists(one.address)]
    if lost:
        found.append(
            f"{csv}: {len(lost)} of {len(candidates)} rows name a missing file, such as {lost[0].name}; "
            f"add the file, or correct or remove the row"
        )
    named = {one.name for one in candidates}
    others = [
        path
        for path in files_under(Path(settings.root), settings)
        if path.relative_to(settings.root).as_posix() not in named
    ]
    if settings.layout == "dicom":
        others = [path for path in others if is_dicom_file(path)]
    else:
        others = [path for path in others if path.name.lower().endswith(FILM_SUFFIXES)]
    spare = [path.relative_to(settings.root).as_posix() for path in others]
    if spare:
        found.append(
            f"{csv}: {len(spare)} films under {settings.root} have no row and are skipped, such as {spare[0]}; "
            f"add rows for them, or move them elsewhere"
        )
    return found


def require_patients(candidates: Sequence[FilmEntry], settings: DataSection) -> None:
    """Raise CxrError when `data.path_pattern` finds no patient in a film's path, with a suggested pattern."""
    if settings.patient_from != "pattern":
        return
    films = [one for one in candidates if one.name.lower().endswith(FILM_SUFFIXES)]
    nameless = [one for one in films if not one.patient_id and Path(one.address).is_file()]
    if not nameless:
        return
    pattern = suggest_pattern([one.name for one in films])
    found = {match[0] for one in films if (match := re.search(pattern, one.name))}
    tried = pattern in ("", settings.path_pattern)
    remedy = "correct the pattern or the name, or " if tried else f"try {pattern} ({len(found)} patients here), or "
    raise CxrError(
        f"params.yaml: data.path_pattern: {settings.path_pattern} finds no patient in {len(nameless)} of {len(films)} "
        f"paths, such as {nameless[0].name}; {remedy}set data.patient_from: image if each film is of another patient"
    )


def suggest_pattern(names: Sequence[str]) -> str:
    """A regular expression whose group `patient_id` matches a name up to its last number but one.

    It matches `IM-0115` of `IM-0115-0001.jpeg`, and a name with a single number up to that number. Empty when no name
    contains a number.
    """
    shapes: Counter[str] = Counter()
    for name in names:
        numbers = list(re.finditer(r"\d+", Path(name).stem))
        if numbers:
            kept = Path(name).stem[: numbers[-2 if len(numbers) > 1 else -1].end()]
            shapes["".join(r"\d+" if part.isdigit() else re.escape(part) for part in re.split(r"(\d+)", kept))] += 1
    # Longest first: `IM-\d+` would also match inside `NORMAL\d+-IM-\d+`.
    likely = sorted((shape for shape, _ in shapes.most_common(SHAPES)), key=lambda shape: (-len(shape), shape))
    return f"(?P<patient_id>{'|'.join(likely)})".replace(r"\-", "-") if likely else ""
