"""Atomic files and content hashes. A reader sees the old file or the new one, never a half-written one."""

import contextlib
import csv
import hashlib
import json
import os
import secrets
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
