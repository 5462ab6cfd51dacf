"""Reference lung masks: their folders, and the mask of each film."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from cxr.core.errors import CxrError
from cxr.ingest.config import DataSection, inside
from cxr.ingest.findings import Finding, error, of_fault, warning
from cxr.ingest.table import nfc


def mask_folders(settings: DataSection) -> list[Path]:
    """The folders of `data.masks_dir`: one that may be missing, all that fit a pattern such as */masks, or none."""
    root = Path(settings.root)
    if settings.masks_dir == "none":
        return []
    if settings.masks_dir == "auto":
        return [root / "lung_masks"] if (root / "lung_masks").is_dir() else []
    if "*" in settings.masks_dir:
        return _matching(root, nfc(settings.masks_dir))
    return [inside(root, settings.masks_dir)]


def _matching(root: Path, pattern: str) -> list[Path]:
    """The folders that fit a pattern, level by level, with names compared in composed form."""
    level = [root] if root.is_dir() else []
    for part in pattern.split("/"):
        below = [path for folder in level for path in folder.iterdir()]
        level = sorted(path for path in below if path.is_dir() and fnmatchcase(nfc(path.name), part))
    return level


def reference_masks(names: Iterable[str], settings: DataSection) -> dict[str, str]:
    """The path of the reference mask of each film that has one, by the film's name (its path relative to the root).

    A mask has its film's stem. Where several films or masks share a stem, the mask must also be in folders of its film,
    below `masks_dir`: `train/0001.png` or `NORMAL/0001.png` for the film `train/NORMAL/0001.jpeg`.

    Raises:
        CxrError: a folder is missing, a mask matches two films, or a film has two masks.
    """
    masks = _masks_by_stem(settings)
    films: dict[str, list[str]] = defaultdict(list)
    for name in names:
        films[PurePosixPath(name).stem].append(name)
    chosen: dict[str, str] = {}
    for stem in sorted(films.keys() & masks.keys()):
        own = masks[stem]
        chosen |= {film: own[mask] for film, mask in _match(films[stem], list(own)).items()}
    return chosen


def mask_findings(names: Sequence[str], settings: DataSection) -> list[Finding]:
    """An error where no mask can be assigned, a warning where some masks have no film."""
    folders = mask_folders(settings)
    if not folders and "*" not in settings.masks_dir:
        return []
    try:
        masks, assigned = _masks_by_stem(settings), reference_masks(names, settings)
    except CxrError as fault:
        return [of_fault(fault)]
    paths = [path for own in masks.values() for path in own.values()]
    spare = sorted(set(paths) - set(assigned.values()))
    where = f"data.masks_dir: {settings.masks_dir}"
    remedy = "a mask has its film's name with the suffix .png; correct the names, or set it to none"
    if not paths:
        own = " and ".join(map(str, folders))
        return [error(f"{where}: no .png in {own}", "save the masks as PNG, or set it to none")]
    if not assigned:
        return [error(f"{where}: none of {len(paths)} masks has the name of a film", remedy, spare)]
    if spare:
        return [warning(f"{where}: {len(spare)} of {len(paths)} masks have the name of no film", remedy, spare)]
    return []


def _masks_by_stem(settings: DataSection) -> dict[str, dict[str, str]]:
    """Address of each mask by its stem and by its name below the folder of masks."""
    masks: dict[str, dict[str, str]] = defaultdict(dict)
    root = Path(settings.root)
    folders = mask_folders(settings)
    if not folders and "*" in settings.masks_dir:
        raise CxrError(
            f"params.yaml: data.masks_dir: no folder {root / settings.masks_dir}; correct it, or set it to none"
        )
    for folder in folders:
        if not folder.is_dir():
            raise CxrError(f"params.yaml: data.masks_dir: no folder {folder}; correct it, or set it to none")
        above = folder.parent.relative_to(root) if "*" in settings.masks_dir else Path()
        for path in sorted(folder.rglob("*.png")):
            masks[nfc(path.stem)][nfc((above / path.relative_to(folder)).as_posix())] = path.as_posix()
    return masks


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
