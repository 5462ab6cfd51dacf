"""Per-film work over the per-film cache: a film that any run has met before is read, the others are computed."""

import contextlib
import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from cxr.compute.settings import Compute
from cxr.console.progress import progress
from cxr.parallel.film_cache import Entry, FilmCache
from cxr.parallel.map_films import map_films

T = TypeVar("T")
AHEAD = 64  # entries read before they are asked for


@dataclass(frozen=True)
class Work:
    """One film's work: what names its result, and how to compute it. An empty key: never stored."""

    key: str
    compute: Callable[[], Entry]


def map_cached(
    function: Callable[[T], Work], films: Sequence[T], cache: FilmCache, compute: Compute, description: str
) -> Iterator[Entry]:
    """Yield the entry of each film, in order, read from the cache or computed and stored there.

    `function` reads whatever decides the result besides the cache's specification and says it in the key. This process
    asks it for every key; processes are started only for the films that the cache lacks. `function` must be picklable;
    what it returns need not be. Entries are streamed, so memory does not grow with the number of films.

    Raises what `function` and its work raise.
    """
    with ThreadPoolExecutor(compute.n_workers) as pool:  # reading and hashing leave Python's lock free
        keys = pool.map(functools.partial(_known_key, function, cache), films)
        known = list(progress(keys, len(films), f"{description}: known films"))
        missing = [film for film, key in zip(films, known, strict=True) if not key]
        task = functools.partial(_compute, function, cache)
        with contextlib.closing(map_films(task, missing, compute, description)) as fresh:
            for film, key, entry in zip(films, known, _read_ahead(pool, cache, known), strict=True):
                if not key:
                    yield next(fresh)
                else:  # an entry that is damaged, or was deleted meanwhile, is computed here
                    yield entry or _compute(function, cache, film)
            next(fresh, None)  # its bar ends full


def _known_key(function: Callable[[T], Work], cache: FilmCache, film: T) -> str:
    key = function(film).key
    return key if key and key in cache else ""


def _compute(function: Callable[[T], Work], cache: FilmCache, film: T) -> Entry:
    work = function(film)
    entry = work.compute()
    if work.key:
        cache.put(work.key, entry)
    return entry


def _read_ahead(pool: ThreadPoolExecutor, cache: FilmCache, keys: Sequence[str]) -> Iterator[Entry | None]:
    """The entries of the keys in order; None for an empty key."""
    waiting: deque[Future[Entry | None]] = deque()
    for key in keys:
        waiting.append(pool.submit(lambda key: cache.get(key) if key else None, key))
        if len(waiting) > AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
