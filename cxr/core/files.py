"""Atomic files and folders: written under a temporary name, then renamed. Never half written."""

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

if TYPE_CHECKING:  # serving runs without pandas
    import pandas as pd


@contextlib.contextmanager
def atomic_path(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is renamed to `path`.

    With `durable` it is flushed to disk first. Cache entries skip this: they are many, and each has a checksum.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Random, because threads share a process id, and so may containers that share a disk.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if durable:
            with open(temporary, "rb") as stream:
                os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # an error of `write`, such as a full disk, has no name
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
    """Write indented JSON in the key order given; raises ValueError for NaN, which JSON lacks."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_csv(path: Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV with Unix line ends and no index."""
    text = table.to_csv(index=False, lineterminator="\n")
    if "\r" in text:  # pandas does not quote a carriage return, and readers take it as a line end
        text = table.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_ALL)
    write_text(path, text)


def utf8(path: str) -> str:
    """A path for tables and log lines: bytes that are not valid UTF-8 are escaped."""
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

    The old folder is moved aside, the new one renamed to `path`, and then the old one deleted. The next writer of
    `path` restores or deletes what a killed writer left.
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
    """A new folder beside `path`, and the lock that distinguishes it from a leftover."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        lock = _lock(folder, wait=True)
        if folder.is_dir():
            return folder, lock
        if lock is not None:  # another writer deleted it as a leftover before it was locked
            os.close(lock)


def _settle_leftovers(path: Path) -> None:
    """Restore or delete what killed writers of `path` left beside it."""
    leftover = re.compile(rf"\.{re.escape(path.name)}\.[^.]+\.tmp")
    for folder in [entry for entry in path.parent.iterdir() if leftover.fullmatch(entry.name) and entry.is_dir()]:
        lock = _lock(folder)
        if lock is not None:
            _settle(folder, path)
            os.close(lock)


def _settle(workshop: Path, path: Path) -> None:
    """Delete a workshop; first restore the old folder in it when `path` does not exist."""
    with contextlib.suppress(FileNotFoundError):
        if not path.exists():
            os.replace(workshop / "old", path)
    shutil.rmtree(workshop, ignore_errors=True)


def _lock(folder: Path, wait: bool = False) -> int | None:
    """An open descriptor that locks a folder until it is closed or its process ends; None when it is already locked.

    Also None when the folder is gone, or when the file system has no locks: then leftovers are never touched.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:  # its writer has just finished, or another writer deleted it
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
