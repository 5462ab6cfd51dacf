"""What is likely not meant: no test set, rows without films, films without rows, a split for some rows only."""

from collections.abc import Sequence
from pathlib import Path

from cxr.films.dicom import DICOM_SUFFIXES
from cxr.films.manifest import SPLITS
from cxr.films.read import IMAGE_SUFFIXES
from cxr.ingest.config import DataSection
from cxr.ingest.layouts import Candidate, files_under


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
    if settings.layout in ("csv", "dicom"):
        found += _rows_and_films(candidates, settings)
    return found


def _rows_and_films(candidates: Sequence[Candidate], settings: DataSection) -> list[str]:
    csv, found = f"{settings.root}/{settings.labels_csv}", []
    lost = [one for one in candidates if not Path(one.address).is_file()]
    if lost:
        found.append(
            f"{csv}: {len(lost)} of {len(candidates)} rows name a file that is not there, such as {lost[0].name}; "
            f"add the file, or correct or remove the row"
        )
    named = {one.name for one in candidates}
    suffixes = DICOM_SUFFIXES if settings.layout == "dicom" else (*IMAGE_SUFFIXES, *DICOM_SUFFIXES)
    names = [path.relative_to(settings.root).as_posix() for path in files_under(Path(settings.root), settings)]
    spare = [name for name in names if name.lower().endswith(suffixes) and name not in named]
    if spare:
        found.append(
            f"{csv}: {len(spare)} films under {settings.root} have no row and are left out, such as {spare[0]}; "
            f"add rows for them, or move them elsewhere"
        )
    return found
