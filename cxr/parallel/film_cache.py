"""A content-addressed cache of per-film results, outside DVC's outs and shared by experiments.

Entry: `<root>/<stage>/<spec>/<ab>/<key>`, where `spec` hashes parameters, code and models and `key` hashes the film.
An entry is a 16-byte checksum, one line of JSON facts and a blob; it is written whole or not at all, and one that
does not match its checksum is computed again.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
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


class FilmCache:
    """Results of one stage under one specification."""

    def __init__(self, root: Path, stage: str, spec: str) -> None:
        self.folder = root / stage / spec

    def __contains__(self, key: str) -> bool:
        return self._path(key).is_file()

    def get(self, key: str) -> Entry | None:
        """The entry of a film; None when there is none, or a damaged one."""
        path = self._path(key)
        try:
            content = path.read_bytes()
            os.utime(path)
        except FileNotFoundError:
            return None
        if content[:16] != _checksum(content[16:]):
            return None
        line, _, blob = content[16:].partition(b"\n")
        return json.loads(line), blob

    def put(self, key: str, entry: Entry) -> None:
        """Store the entry of a film."""
        facts, blob = entry
        body = json.dumps(facts).encode() + b"\n" + blob
        try:
            write_bytes(self._path(key), _checksum(body) + body, durable=False)
        except FileNotFoundError:  # `prune` took the folder away while it was empty
            write_bytes(self._path(key), _checksum(body) + body, durable=False)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key


def prune(root: Path, days: float) -> tuple[int, int]:
    """Delete entries not read or written for `days`; returns (files, bytes) removed. Runs may be at work meanwhile."""
    limit = time.time() - days * 86400
    files = size = 0
    for path in root.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a run at work renamed or deleted it
            if path.is_file() and (facts := path.stat()).st_mtime < limit:
                path.unlink()
                files, size = files + 1, size + facts.st_size
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):  # it is not empty, or not any more
            folder.rmdir()
    return files, size


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()
