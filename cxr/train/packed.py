"""An NPZ set packed into memory-mapped arrays, once per content, so that no epoch decodes a file.

A pack is a folder of `<split>.npy` (films, channels, height, width; uint8), `<split>_label.npy` and `facts.json`. When
the three colour channels of every film are equal, films are stored as [grey, mask], which halves memory and work.
"""

import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr.console.progress import progress
from cxr.core.errors import CxrError
from cxr.core.files import digest, write_json
from cxr.core.folders import atomic_folder
from cxr.npz.npz_set import INDEX, NpzFilm, NpzRow, read_index, read_npz
from cxr.train.corrupt import corrupted_copy

log = logging.getLogger(__name__)
SPLITS = ("train", "val")
PACKS_KEPT = 4
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Films:
    """The films of one split."""

    images: Array  # uint8 (films, 2 or 4, height, width), memory-mapped
    labels: Array  # int64 (films,)


@dataclass(frozen=True)
class Pack:
    """A packed NPZ set."""

    train: Films
    val: Films
    corrupted: Films  # the validation films, made harder in a fixed way
    classes: tuple[str, ...]
    image_px: int
    spec: str  # of the NPZ set
    data_hash: str

    def counts(self, split: str) -> list[int]:
        """Films a class."""
        films: Films = getattr(self, split)
        return [int(count) for count in np.bincount(films.labels, minlength=len(self.classes))]


def open_pack(folders: Sequence[Path], root: Path, version: str) -> Pack:
    """The pack of the NPZ sets in `folders`, made under `root` when this content was not packed before.

    Args:
        folders: each with its own index.csv; usually one.
        root: where packs live; the least recently used ones are deleted.
        version: of the code, since the corrupted films depend on it.

    Raises:
        CxrError: no films, a class missing in train or validation, or films of different preparation.
    """
    films = [(folder / row.file, row) for folder in folders for row in read_index(folder)]
    _check_classes([row for _, row in films], folders[0])
    data_hash = hash_npz_set(folders, [path for path, _ in films])
    folder = root / digest(data_hash.encode(), version.encode())
    if not (folder / "facts.json").is_file():
        log.info("packing %d NPZ films", len(films))
        with atomic_folder(folder) as temporary:
            _write_pack(temporary, films)
    os.utime(folder)
    _drop_old(root)
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    train, val, corrupted = (_open_films(folder, split) for split in (*SPLITS, "corrupted"))
    return Pack(train, val, corrupted, tuple(facts["classes"]), facts["image_px"], facts["spec"], data_hash)


def hash_npz_set(folders: Sequence[Path], films: Sequence[Path]) -> str:
    """Content hash of the index files and of every NPZ."""
    parts = [digest((folder / INDEX).read_bytes()).encode() for folder in folders]
    for path in films:
        try:
            parts.append(digest(path.read_bytes()).encode())
        except OSError as error:
            raise CxrError(f"{path}: cannot be read ({error.strerror}); run `dvc repro preprocess`") from error
    return digest(*parts)


def _check_classes(rows: list[NpzRow], folder: Path) -> None:
    classes = rows[0].classes
    for split in SPLITS:
        count = Counter(row.label for row in rows if row.split == split)
        missing = [name for name in classes if not count[name]]
        if missing:
            raise CxrError(
                f"{folder / INDEX}: split {split!r} has no film of class {missing[0]!r}; "
                "check data.classes and data.val_fraction"
            )


def _write_pack(folder: Path, films: list[tuple[Path, NpzRow]]) -> None:
    chosen = {split: [path for path, row in films if row.split == split] for split in SPLITS}
    first = read_npz(chosen["train"][0])
    steps = progress(range(sum(map(len, chosen.values()))), sum(map(len, chosen.values())), "pack")
    grey = True
    for split, paths in chosen.items():
        shape = (len(paths), 4, *first.image.shape[:2])
        images = np.lib.format.open_memmap(folder / f"{split}.npy", mode="w+", dtype=np.uint8, shape=shape)
        labels = np.empty(len(paths), np.int64)
        for place, path in enumerate(paths):
            film = read_npz(path)
            _check_alike(film, first, path)
            images[place], labels[place] = film.image.transpose(2, 0, 1), film.label
            grey = grey and bool((film.image[..., :1] == film.image[..., 1:3]).all())
            next(steps)
        images.flush()
        np.save(folder / f"{split}_label.npy", labels, allow_pickle=False)
    for split in SPLITS if grey else ():
        _keep_grey_and_mask(folder / f"{split}.npy")
    val = np.load(folder / "val.npy", mmap_mode="r", allow_pickle=False)
    corrupted = np.lib.format.open_memmap(folder / "corrupted.npy", mode="w+", dtype=np.uint8, shape=val.shape)
    for part, films_made_harder in corrupted_copy(val):
        corrupted[part] = films_made_harder
    corrupted.flush()
    write_json(folder / "facts.json", {"classes": first.classes, "image_px": first.image.shape[0], "spec": first.spec})


def _check_alike(film: NpzFilm, first: NpzFilm, path: Path) -> None:
    for fact in ("classes", "spec"):
        if getattr(film, fact) != getattr(first, fact):
            raise CxrError(f"{path}: prepared with another {fact} than the rest; run `dvc repro --force preprocess`")
    if film.image.shape != first.image.shape:
        raise CxrError(f"{path}: {film.image.shape} pixels, the rest {first.image.shape}; run preprocess again")


def _keep_grey_and_mask(path: Path) -> None:
    images = np.load(path, mmap_mode="r", allow_pickle=False)
    shape = (len(images), 2, *images.shape[2:])
    lean = np.lib.format.open_memmap(path.with_name("lean.npy"), mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, len(images), 256):
        lean[start : start + 256] = images[start : start + 256, [0, 3]]
    lean.flush()
    path.with_name("lean.npy").replace(path)


def _drop_old(root: Path) -> None:
    packs = sorted((path for path in root.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in packs[:-PACKS_KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def _open_films(folder: Path, split: str) -> Films:
    images = np.load(folder / f"{split}.npy", mmap_mode="r", allow_pickle=False)
    labels = "val" if split == "corrupted" else split
    return Films(images, np.load(folder / f"{labels}_label.npy", allow_pickle=False))
