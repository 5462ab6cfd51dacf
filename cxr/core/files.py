"""Files and folders that are whole or absent: written under another name, flushed, then renamed."""

import contextlib
import csv
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # serving writes and reads files without it
    import pandas as pd


@contextlib.contextmanager
def atomic_path(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the name of `path`.

    With `durable` it is flushed to disk first. Files written by the thousand that carry a checksum do without.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two threads have one process id, and two containers that share a disk may have the same.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if durable:
            with open(temporary, "rb") as stream:
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk is noticed by `write`, which knows no name
        raise
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, durable: bool = True) -> None:
    """Write a file atomically."""
    with atomic_path(path, durable) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON in the key order given; NaN is refused, because JSON has none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV with Unix line ends and no index."""
    text = table.to_csv(index=False, lineterminator="\n")
    if "\r" in text:  # of which readers make a line end where it is not quoted, and the writer does not quote it
        text = table.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    write_text(path, text)


def utf8(path: str) -> str:
    """A path as tables and lines hold it: bytes that are no UTF-8 are escaped."""
    return path.encode(errors="backslashreplace").decode()


def digest(*parts: bytes) -> str:
    """A 128-bit BLAKE2b content hash of the parts, as 32 hexadecimal digits."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


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
