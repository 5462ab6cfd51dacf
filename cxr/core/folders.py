"""Atomic folders. A reader sees the old folder or the new one, and a killed writer loses neither."""

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder; on success it replaces the folder `path` as a whole.

    The old folder is moved aside, the new one takes its name, and only then is the old one deleted. What a killed
    writer left, the next writer of `path` puts back or deletes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _settle_leftovers(path)
    workshop, lock = _workshop(path)
    try:
        (workshop / "new").mkdir()
        (workshop / "new").chmod(0o755)
        yield workshop / "new"
        if path.is_symlink() or path.exists():
            os.replace(path, workshop / "old")
        os.replace(workshop / "new", path)
    finally:
        _settle(workshop, path)
        if lock is not None:
            os.close(lock)


def _workshop(path: Path) -> tuple[Path, int | None]:
    """A new folder beside `path`, and the lock that tells it from a leftover."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        lock = _lock(folder, wait=True)
        if folder.is_dir():
            return folder, lock
        if lock is not None:  # before it was locked, another writer took it for a leftover
            os.close(lock)


def _settle_leftovers(path: Path) -> None:
    """Put back or delete what killed writers of `path` left beside it."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.[^.]+\.tmp")
    for folder in [entry for entry in path.parent.iterdir() if leftover.fullmatch(entry.name) and entry.is_dir()]:
        lock = _lock(folder)
        if lock is not None:
            _settle(folder, path)
            os.close(lock)


def _settle(workshop: Path, path: Path) -> None:
    """Delete a workshop; the old folder in it goes back to its place when nothing has taken that."""
    with contextlib.suppress(FileNotFoundError):
        if not path.exists():
            os.replace(workshop / "old", path)
    shutil.rmtree(workshop, ignore_errors=True)


def _lock(folder: Path, wait: bool = False) -> int | None:
    """An open descriptor that locks a folder until it is closed or its process dies; None when another holds it.

    None as well where the folder is gone, and where the file system knows no locks: then leftovers are never touched.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # its writer has just ended, or another has cleared it away
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
