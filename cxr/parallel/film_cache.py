"""A content-addressed cache of per-film results, outside DVC's outs and shared by experiments.

Entry: `<root>/<stage>/<spec>/<ab>/<key>`, where `spec` hashes parameters, code and models and `key` hashes the film.
An entry is a 16-byte checksum, one line of JSON facts and a blob; it is written whole or not at all, and one that
does not match its checksum is computed again.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cxr.core.files import digest, write_bytes

Entry = tuple[dict[str, Any], bytes]


def cache_root() -> Path:
    """`.cache/films` of the main checkout, also when DVC runs an experiment in a copy (it sets DVC_ROOT)."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve() / ".cache" / "films"


def spec_key(facts: Iterable[str]) -> str:
    """Hash of everything but the film that a result depends on: settings, code version, model, library versions."""
    return digest(*(fact.encode() for fact in facts))


class NotCached(Exception):
    """A cache that only reads has no entry of the film."""


class FilmCache:
    """Results of one stage under one specification."""

    def __init__(self, root: Path, stage: str, spec: str, read_only: bool = False) -> None:
        self.root, self.stage, self.spec, self.read_only = root, stage, spec, read_only
        self.folder = root / stage / spec

    def reader(self) -> "FilmCache | None":
        """The same cache, that raises NotCached where it would compute; None when it has no entry at all."""
        return FilmCache(self.root, self.stage, self.spec, read_only=True) if self.folder.is_dir() else None

    def get_or_compute(self, key: str, compute: Callable[[], Entry]) -> Entry:
        """The stored entry of a film, or a fresh one, which is stored first."""
        path = self.folder / key[:2] / key
        entry = _read(path)
        if entry is None:
            if self.read_only:
                raise NotCached(key)
            entry = compute()
            facts, blob = entry
            body = json.dumps(facts).encode() + b"\n" + blob
            write_bytes(path, _checksum(body) + body, durable=False)
        return entry


def prune(root: Path, days: float) -> tuple[int, int]:
    """Delete entries not read or written for `days`; returns (files, bytes) removed."""
    limit = time.time() - days * 86400
    files = size = 0
    for path in root.rglob("*"):
        if path.is_file() and path.stat().st_mtime < limit:
            files, size = files + 1, size + path.stat().st_size
            path.unlink()
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return files, size


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def _read(path: Path) -> Entry | None:
    try:
        content = path.read_bytes()
        os.utime(path)
    except FileNotFoundError:
        return None
    if content[:16] != _checksum(content[16:]):
        return None
    line, _, blob = content[16:].partition(b"\n")
    return json.loads(line), blob
