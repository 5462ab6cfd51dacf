"""Layouts of a cohort: class folders, label table, DICOM, MedMNIST; and the folder of reference masks."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from cxr.core.errors import CxrError, did_you_mean
from cxr.films.find import FILM_SUFFIXES, film_stem, is_dicom_file
from cxr.films.manifest import SPLITS
from cxr.films.medmnist import medmnist_array, medmnist_names
from cxr.ingest.config import DataSection

SPLIT_NAMES = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class FilmEntry:
    """A film of the cohort before it is opened."""

    address: str  # as `cxr.films.read` takes it
    name: str  # relative to the root
    label: str  # class name
    split: str | None  # None when not given
    patient_id: str | None  # from a column or the path pattern
    attributes: dict[str, str] = field(default_factory=dict)


def find_entries(settings: DataSection) -> list[FilmEntry]:
    """Every film under `data.root`, sorted by name.

    Raises:
        CxrError: the root or the label file is missing, a column or a label is unknown, or there are no films.
    """
    root = Path(settings.root)
    if not root.exists():
        raise CxrError(f"params.yaml: data.root: {root}: no such file or folder; correct the path or fetch the data")
    if settings.layout == "medmnist":
        found = list(_medmnist(root, settings))
    elif settings.layout == "folders":
        found = list(_folders(root, settings))
    else:
        found = list(_label_file(root, settings))
    if not found:
        raise CxrError(f"{root}: no films in layout '{settings.layout}'; check data.root and data.layout")
    return sorted(found, key=lambda candidate: candidate.name)


def class_name(raw: str, where: str, settings: DataSection) -> str:
    """The class of a label: a class name in any case, an alias in `label_map`, or a class index."""
    raw = raw.strip()
    mapped = settings.label_map.get(raw, raw)
    by_name = {name.lower(): name for name in settings.classes}
    if mapped.lower() in by_name:
        return by_name[mapped.lower()]
    if mapped.isdigit() and int(mapped) < len(settings.classes):
        return settings.classes[int(mapped)]
    raise CxrError(
        f"{where}: unknown label {raw!r}; add it to data.classes or data.label_map"
        f"{did_you_mean(raw, settings.classes)} (classes: {', '.join(settings.classes)})"
    )


def split_name(raw: str, where: str) -> str | None:
    """The split of a given name; None for an empty name."""
    raw = raw.strip().lower()
    if not raw:
        return None
    if raw not in SPLIT_NAMES:
        raise CxrError(f"{where}: unknown split {raw!r}; expected train, val or test{did_you_mean(raw, SPLIT_NAMES)}")
    return SPLIT_NAMES[raw]


def from_path(name: str, settings: DataSection) -> dict[str, str]:
    """The named groups of `data.path_pattern` in a film's relative path; empty where a group does not match."""
    if settings.path_pattern == "none":
        return {}
    pattern = re.compile(settings.path_pattern)
    match = pattern.search(name)
    return {group: (match[group] or "") if match else "" for group in pattern.groupindex}


def _folders(root: Path, settings: DataSection) -> Iterator[FilmEntry]:
    for path in files_under(root, settings):
        name = path.relative_to(root).as_posix()
        folders = name.split("/")[:-1]
        split = SPLIT_NAMES.get(folders[0].lower()) if folders else None
        below = folders[1:] if split else folders
        groups = from_path(name, settings)
        raw = groups.pop("label", "") or (below[0] if below else "")
        if raw:  # files outside the class folders, such as a readme, are not films
            yield _candidate(path, name, class_name(raw, str(path), settings), split, groups)


def _label_file(root: Path, settings: DataSection) -> Iterator[FilmEntry]:
    csv, columns = root / settings.labels_csv, settings.columns
    table = _read_labels(csv, settings)
    films = _films_by_name(root, settings)
    labels: dict[str, str] = {}
    for index, row in zip(table.index, table.to_dict("records"), strict=True):
        where, given = f"{csv}:{index + 2}", str(row[columns.path])
        path = root / given if settings.layout == "csv" else films.get(given)
        if path is None:
            raise CxrError(f"{where}: no DICOM file {given!r} under {root}; correct the row or remove it")
        name = path.relative_to(root).as_posix()
        label = class_name(str(row[columns.label]), where, settings)
        if labels.setdefault(name, label) != label:
            raise CxrError(f"{where}: {given!r} is labelled both {labels[name]!r} and {label!r}; keep one")
        groups = from_path(name, settings)
        groups.pop("label", None)
        mapped = set(columns.model_dump().values())
        extra = {str(key): str(value) for key, value in row.items() if key not in mapped}
        split = split_name(str(row.get(columns.split, "")), where)
        patient = str(row.get(columns.patient_id, ""))
        if settings.patient_from == "column":
            groups["patient_id"] = patient
        yield _candidate(path, name, label, split, {**extra, **groups})


def _read_labels(csv: Path, settings: DataSection) -> pd.DataFrame:
    if not csv.is_file():
        raise CxrError(f"{csv}: no such file; set data.labels_csv to the label file inside data.root")
    try:
        table = pd.read_csv(csv, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, UnicodeDecodeError) as error:
        raise CxrError(f"{csv}: not a readable CSV ({error})") from error
    wanted = [settings.columns.path, settings.columns.label]
    if settings.patient_from == "column":
        wanted.append(settings.columns.patient_id)
    for column in wanted:
        if column not in table.columns:
            raise CxrError(
                f"{csv}: no column {column!r}; it has {', '.join(map(repr, table.columns))}; name yours in data.columns"
            )
    # A film may have several rows, one per finding; identical rows are one film.
    keep = [*wanted, *([settings.columns.split] if settings.columns.split in table.columns else [])]
    return table.drop_duplicates(subset=keep)


def _films_by_name(root: Path, settings: DataSection) -> dict[str, Path]:
    """DICOM files, known by suffix or content, by relative path, file name and stem."""
    films: dict[str, Path] = {}
    for path in sorted(files_under(root, settings), key=Path.is_dir):  # a film comes before a folder of its name
        if is_dicom_file(path):
            for name in (path.relative_to(root).as_posix(), path.name, film_stem(path.name)):
                films.setdefault(name, path)
    return films


def _medmnist(root: Path, settings: DataSection) -> Iterator[FilmEntry]:
    for split in SPLITS:
        if f"{split}_images" not in medmnist_names(str(root)):
            continue
        for index, label in enumerate(medmnist_array(str(root), f"{split}_labels").reshape(-1)):
            address = f"{root}#{split}/{index}"
            name = class_name(str(int(label)), address, settings)
            yield FilmEntry(address, f"{split}_{index:05d}", name, split, None)


def files_under(root: Path, settings: DataSection) -> Iterator[Path]:
    """Files that may be films: not hidden, not reference masks, not leftovers of an archive tool.

    Folders with the suffix of a film and dangling links are included: they are quarantined with a reason.
    """
    skipped = settings.masks_folder
    for path in sorted(root.rglob("*")):
        parts = path.relative_to(root).parts
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
        film = not path.is_dir() or path.name.lower().endswith(FILM_SUFFIXES)
        if film and not hidden and (skipped is None or skipped not in path.parents):
            yield path


def _candidate(path: Path, name: str, label: str, split: str | None, groups: dict[str, str]) -> FilmEntry:
    patient = groups.pop("patient_id", None)
    return FilmEntry(path.as_posix(), name, label, split, patient, groups)


def reference_masks(names: Iterable[str], settings: DataSection) -> dict[str, str]:
    """The path of the reference mask of each film that has one, by the film's name (its path relative to the root).

    A mask has its film's stem. Where several films or masks share a stem, the mask must also be in folders of its film,
    below `masks_dir`: `train/0001.png` or `NORMAL/0001.png` for the film `train/NORMAL/0001.jpeg`.

    Raises:
        CxrError: the folder is missing, a mask matches two films, or a film has two masks.
    """
    folder = settings.masks_folder
    if folder is None:
        return {}
    if not folder.is_dir():
        raise CxrError(f"params.yaml: data.masks_dir: no folder {folder}; correct it, or set it to none")
    masks: dict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*.png")):
        masks[path.stem].append(path.relative_to(folder).as_posix())
    films: dict[str, list[str]] = defaultdict(list)
    for name in names:
        films[PurePosixPath(name).stem].append(name)
    chosen: dict[str, str] = {}
    for stem in films.keys() & masks.keys():
        chosen |= _match(films[stem], masks[stem])
    return {film: (folder / mask).as_posix() for film, mask in chosen.items()}


def _match(films: list[str], masks: list[str]) -> dict[str, str]:
    """The mask of each film that has one, among films and masks with the same stem."""
    if len(films) == len(masks) == 1:
        return {films[0]: masks[0]}
    chosen: dict[str, str] = {}
    owners: dict[str, str] = {}
    for film in films:
        fitting = [mask for mask in masks if _within(mask, film)] or (masks if len(films) == 1 else [])
        if len(fitting) > 1:
            raise CxrError(f"data.masks_dir: {fitting[0]} and {fitting[1]} are both the mask of {film}; keep one")
        for mask in fitting:
            if mask in owners:
                own = PurePosixPath(film).with_suffix(".png")
                raise CxrError(
                    f"data.masks_dir: {mask} matches both {owners[mask]} and {film}; "
                    f"move it to the folders of its film, such as {own}"
                )
            owners[mask], chosen[film] = film, mask
    return chosen


def _within(mask: str, film: str) -> bool:
    """Whether the mask's folders are a subsequence of the film's folders."""
    folders = iter(PurePosixPath(film).parent.parts)
    return all(part in folders for part in PurePosixPath(mask).parent.parts)
