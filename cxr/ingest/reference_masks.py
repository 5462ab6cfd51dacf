"""Which reference lung mask belongs to which film."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath

from cxr.core.errors import CxrError
from cxr.ingest.config import DataSection


def reference_masks(names: Iterable[str], settings: DataSection) -> dict[str, str]:
    """The path of the reference mask of each film that has one, by the film's name (its path relative to the root).

    A mask has its film's stem. Where a stem names several films or masks, a mask also lies, below `masks_dir`, in
    folders of its film: `train/0001.png` or `NORMAL/0001.png` for the film `train/NORMAL/0001.jpeg`.

    Raises:
        CxrError: the folder is missing, or a mask could be that of two films, or a film has two masks.
    """
    folder = settings.masks_folder
    if folder is None:
        return {}
    if not folder.is_dir():
        raise CxrError(f"params.yaml: data.masks_dir: no folder {folder}; set it to none when there are no masks")
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
    """The mask of each film that has one, among films and masks of one stem."""
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
                    f"data.masks_dir: {mask} could be the mask of {owners[mask]} and of {film}; "
                    f"move it to that film's own folders, such as {own}"
                )
            owners[mask], chosen[film] = film, mask
    return chosen


def _within(mask: str, film: str) -> bool:
    """Whether the mask's folders are folders of the film, in the same order."""
    folders = iter(PurePosixPath(film).parent.parts)
    return all(part in folders for part in PurePosixPath(mask).parent.parts)
