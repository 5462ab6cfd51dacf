"""The per-film cache, and parallel per-film work that uses it."""

import contextlib
import functools
import hashlib
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cxr.core.files import digest, write_bytes
from cxr.runtime.compute import Compute
from cxr.runtime.console import progress
from cxr.runtime.parallel import map_films

Entry = tuple[dict[str, Any], bytes]
T = TypeVar("T")
PREFETCH = 64  # entries read ahead of their use


def cache_root() -> Path:
    """`.cache/films` of the main checkout, also when DVC runs an experiment in a copy (it sets DVC_ROOT)."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve() / ".cache" / "films"


def spec_key(facts: Iterable[str]) -> str:
    """Hash of everything that a result depends on except the film: settings, code, model, library versions."""
    return digest(*(fact.encode() for fact in facts))


class FilmCache:
    """Results of one stage under one specification."""

    def __init__(self, root: Path, stage: str, spec: str) -> None:
        self.folder = root / stage / spec

    def __contains__(self, key: str) -> bool:
        return self._path(key).is_file()

    def get(self, key: str) -> Entry | None:
        """The entry of a film; None when it is missing or damaged."""
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
        except FileNotFoundError:  # `prune` deleted the folder while it was empty
            write_bytes(self._path(key), _checksum(body) + body, durable=False)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / key


def prune(root: Path, days: float) -> tuple[int, int]:
    """Delete entries not read or written for `days`; returns (files, bytes) removed. Safe while stages run."""
    limit = time.time() - days * 86400
    files = size = 0
    for path in root.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a running stage renamed or deleted it
            if path.is_file() and (facts := path.stat()).st_mtime < limit:
                path.unlink()
                files, size = files + 1, size + facts.st_size
    for folder in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
        with contextlib.suppress(OSError):  # it is not empty, or already gone
            folder.rmdir()
    return files, size


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


@dataclass(frozen=True)
class FilmTask:
    """One film's work: the key of its result, and how to compute it. A result with an empty key is not stored."""

    key: str
    compute: Callable[[], Entry]


def cached_map(
    function: Callable[[T], FilmTask], films: Sequence[T], cache: FilmCache, compute: Compute, description: str
) -> Iterator[Entry]:
    """Yield the entry of each film, in order: read from the cache, or computed and stored there.

    The key must hold everything that decides the result and is not in the cache's specification. This process computes
    every key; worker processes start only for films that the cache lacks. `function` must be picklable, its result need
    not be. Entries are streamed, so memory does not grow with the number of films.

    Raises what `function` and its work raise.
    """
    with ThreadPoolExecutor(compute.n_workers) as pool:  # reading and hashing release Python's lock
        keys = pool.map(functools.partial(_known_key, function, cache), films)
        known = list(progress(keys, len(films), f"{description}: known films"))
        missing = [film for film, key in zip(films, known, strict=True) if not key]
        task = functools.partial(_compute, function, cache)
        with contextlib.closing(map_films(task, missing, compute, description)) as fresh:
            for film, key, entry in zip(films, known, _prefetch(pool, cache, known), strict=True):
                if not key:
                    yield next(fresh)
                else:  # an entry that is damaged or was deleted since is computed here
                    yield entry or _compute(function, cache, film)
            next(fresh, None)  # completes its progress bar


def _known_key(function: Callable[[T], FilmTask], cache: FilmCache, film: T) -> str:
    key = function(film).key
    return key if key and key in cache else ""


def _compute(function: Callable[[T], FilmTask], cache: FilmCache, film: T) -> Entry:
    work = function(film)
    entry = work.compute()
    if work.key:
        cache.put(work.key, entry)
    return entry


def _prefetch(pool: ThreadPoolExecutor, cache: FilmCache, keys: Sequence[str]) -> Iterator[Entry | None]:
    """The entries of the keys in order; None for an empty key."""
    waiting: deque[Future[Entry | None]] = deque()
    for key in keys:
        waiting.append(pool.submit(lambda key: cache.get(key) if key else None, key))
        if len(waiting) > PREFETCH:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
