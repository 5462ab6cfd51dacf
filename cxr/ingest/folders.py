"""The layout `folders`: the label of a film is the folder that it lies in."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from cxr.ingest.config import EXCLUDE, DataSection
from cxr.ingest.entries import FilmEntry, files_under, film_entry, from_path, looks_like_film, split_of
from cxr.ingest.findings import Finding, error, warning
from cxr.ingest.labels import LabelReader, unknown_labels
from cxr.ingest.table import TABLES, nfc

PAIR = re.compile(r"(.+)[-_. ](?:lung_?)?(?:masks?|seg|segmentation)(?:[-_]?\d+)?", re.IGNORECASE)
MASKS = re.compile(r"(^|[\W_])(masks?|segmentations?|annotations?)([\W_]|$)", re.IGNORECASE)


def folder_entries(root: Path, settings: DataSection) -> tuple[list[FilmEntry], list[Finding]]:
    """The films in class folders, and findings about files whose folder is no class."""
    labels, entries = LabelReader(settings), []
    names, classes = files_under(root, settings), {name.casefold() for name in settings.classes}
    nested: list[str] = []
    masks: list[str] = []
    paired = _mask_pairs(names)
    loose: list[str] = []
    pairs: list[str] = []
    unknown: dict[str, list[str]] = defaultdict(list)
    for name in names:
        folders = [nfc(part) for part in name.split("/")[:-1]]
        split, below = _split_off(folders, settings)
        if split == EXCLUDE:
            labels.excluded[f"folder {folders[0]}"] += 1
            continue
        groups = from_path(name, settings)
        given = groups.pop("label", "")
        raw = given or (below[0] if below else "")
        if not raw:  # files outside the class folders, such as a readme, are not films
            loose += [name] if looks_like_film(root, name) else []
            continue
        label = labels.read(raw, str(root / name))
        if label == EXCLUDE:
            continue
        deeper = [] if given else [part.casefold() for part in below[1:] if part.casefold() in classes]
        if label and deeper and deeper[-1] != label.casefold():
            nested.append(name)
        elif label and name in paired:
            pairs.append(name)
        elif label and any(MASKS.search(part) for part in below[1:]):
            masks.append(name)
        elif label:
            entries.append(film_entry(root, name, label, split, groups))
        else:
            unknown[raw].append(name)
    findings = [*labels.left_out(str(root)), *_unknown_folders(unknown, entries, root, settings)]
    if nested:
        findings.append(_two_classes(nested, root))
    if masks:
        findings.append(_mask_folders(masks, root))
    if pairs:
        remedy = "move each to lung_masks in data.root, named like its film, or delete it"
        findings.append(error(f"{root}: {len(pairs)} files look like masks of films beside them", remedy, pairs))
    if loose and (entries or not findings):
        findings.append(_loose(loose, root, bool(entries)))
    return entries, findings


def _mask_pairs(names: Sequence[str]) -> set[str]:
    """Files named like another one in their folder with an ending such as _mask."""
    stems = {str(PurePosixPath(name).with_suffix("")) for name in names}
    found = {name: PAIR.fullmatch(str(PurePosixPath(name).with_suffix(""))) for name in names}
    return {name for name, match in found.items() if match and match[1] in stems}


def _split_off(folders: Sequence[str], settings: DataSection) -> tuple[str | None, Sequence[str]]:
    """The split in a film's folders (train/NORMAL or NORMAL/train) and the folders without it."""
    for at, folder in enumerate(folders[:2]):
        split = split_of(folder, settings)
        if split:
            return split, [*folders[:at], *folders[at + 1 :]]
    return None, folders


def _unknown_folders(
    unknown: dict[str, list[str]],
    entries: Sequence[FilmEntry],
    root: Path,
    settings: DataSection,
) -> list[Finding]:
    """An error for each kind of folder that is no class: a wrapper, masks, or an unknown class."""
    findings, others = [], {}
    classes = {one.casefold() for one in (*settings.classes, *settings.label_map)}
    above = [  # right above class folders, as a split is
        folder
        for folder, names in unknown.items()
        if any(nfc(name.split("/")[1]).casefold() in classes for name in names)
    ]
    if above and (len(above) > 1 or any(entry.split for entry in entries)):
        findings.append(_unknown_splits({folder: unknown[folder] for folder in above}, root, settings))
        unknown = {folder: names for folder, names in unknown.items() if folder not in above}
    stems = {PurePosixPath(entry.name).stem for entry in entries}
    for folder, names in unknown.items():
        inner = next((found for name in names if (found := _inner_root(name, settings))), None)
        own = {PurePosixPath(nfc(name)).stem for name in names}
        if inner:
            also = f", or leave this folder out with data.ignore: [{folder}]" if entries else ""
            findings.append(
                error(
                    f"{root}: folder {folder!r} is no class, but holds class folders ({len(names)} files)",
                    f"the films are further down; set data.root: {root / inner}{also}",
                    names,
                )
            )
        elif MASKS.search(folder) or (stems and len(own & stems) > len(own) / 2):
            findings.append(_mask_folders(names, root))
        else:
            others[folder] = names
    if others:
        tables = [] if entries else sorted(path.name for path in root.iterdir() if TABLES.search(path.name))
        table = (
            f"if {tables[0]} has the labels, set data.layout: csv and data.labels_csv: {tables[0]}; else "
            if tables
            else ""
        )
        counts = Counter({folder: len(names) for folder, names in others.items()})
        findings.append(
            error(
                f"{root}: {unknown_labels(counts, settings.classes)}",
                f"{table}for each folder set data.label_map to a class or to exclude, or data.ignore; add it to "
                "data.classes only if it is a class of its own",
                [str(root / names[0]) for names in others.values()],
            )
        )
    return findings


def _unknown_splits(unknown: dict[str, list[str]], root: Path, settings: DataSection) -> Finding:
    """An error about folders that hold class folders as splits do."""
    listed = ", ".join(f"{folder!r} ({len(names)})" for folder, names in unknown.items())
    folder, classes = next(iter(unknown)), "|".join(re.escape(name) for name in settings.classes)
    return error(
        f"{root}: folders {listed} are no splits, but hold class folders",
        f"set data.split_map: {{{folder}: test}} and so on, or leave them out with data.ignore; if they are sites, set "
        f"data.path_pattern with a group for the class, (?P<label>(?i:{classes}))/",
        [names[0] for names in unknown.values()],
    )


def _inner_root(name: str, settings: DataSection) -> str | None:
    """The folder, relative to the root, in which class folders (or splits with class folders) lie; None without one."""
    parts = name.split("/")[:-1]
    classes = {one.casefold() for one in (*settings.classes, *settings.label_map)}
    for at, part in enumerate(parts):
        if at and nfc(part).casefold() in classes and not split_of(parts[0], settings):
            before = parts[:at]
            if split_of(before[-1], settings):
                before = before[:-1]
            return "/".join(before) or None
    return None


def _two_classes(names: Sequence[str], root: Path) -> Finding:
    return error(
        f"{root}: {len(names)} films lie in folders of two classes",
        f"remove {names[0].split('/')[0]!r} from data.label_map, and set data.root to the folder that holds the class "
        "folders",
        names,
    )


def _mask_folders(names: Sequence[str], root: Path) -> Finding:
    """An error that names a folder of masks and the setting that takes it for one."""
    folder = PurePosixPath(nfc(names[0])).parent
    several = {PurePosixPath(nfc(name)).parent for name in names}
    alike = len(several) > 1 and len({one.name for one in several}) == 1
    setting = f"*/{folder.name}" if alike and all(len(one.parts) == 2 for one in several) else str(folder.parts[0])
    setting = setting if alike or len(folder.parts) == 1 else str(folder)
    return error(
        f"{root}: {len(names)} files in {folder} look like masks of films, not like films",
        f"set data.masks_dir: '{setting}' to compare them with the lung masks, or data.ignore: [{folder.name}]",
        names,
    )


def _loose(names: Sequence[str], root: Path, some: bool) -> Finding:
    problem = f"{root}: {len(names)} films lie in no class folder and are skipped"
    remedy = "move each into a folder of its class, or give a label table with data.layout: csv"
    return warning(problem, remedy, names) if some else error(problem, remedy, names)
