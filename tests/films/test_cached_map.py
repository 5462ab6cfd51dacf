"""Cached per-film work: known films are read, the others computed once; results keep the order of the films."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor

from cxr.films.cache import Entry, FilmCache, FilmTask, cached_map
from cxr.runtime.compute import Compute
from tests.settings import machine

FILMS = 40  # more than two chunks


def square(log: Path, value: int) -> FilmTask:
    """A film's work, which writes a line to the log and returns its process id."""

    def compute() -> Entry:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"{value}\n")
        return {"square": value * value, "process": os.getpid()}, bytes([abs(value)])

    return FilmTask("" if value < 0 else f"{value:04d}", compute)


@pytest.fixture
def cache(workspace: Path) -> FilmCache:
    return FilmCache(workspace / "cache", "square", "spec")


@pytest.fixture
def two_processes(workspace: Path) -> Iterator[Compute]:
    get_reusable_executor().shutdown(wait=True)
    yield machine(workers=2)
    get_reusable_executor().shutdown(wait=True)


def run(cache: FilmCache, compute: Compute, films: list[int]) -> list[Entry]:
    return list(cached_map(functools.partial(square, Path("log").resolve()), films, cache, compute, "square"))


def computed() -> list[int]:
    """Films that were computed since the last call."""
    values = [int(line) for line in Path("log").read_text().splitlines()] if Path("log").exists() else []
    Path("log").unlink(missing_ok=True)
    return sorted(values)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_film_is_computed_once_and_then_read(cache: FilmCache, workers: int) -> None:
    films = list(range(FILMS))
    first = run(cache, machine(workers=workers), films)
    assert [(facts["square"], blob) for facts, blob in first] == [(value**2, bytes([value])) for value in films]
    assert computed() == films
    assert run(cache, machine(workers=workers), films) == first
    assert computed() == []


def test_known_films_are_read_here_and_only_the_others_go_to_workers(cache: FilmCache, two_processes: Compute) -> None:
    even = list(range(0, FILMS, 2))
    run(cache, machine(workers=1), even)
    computed()
    entries = run(cache, two_processes, list(range(FILMS)))
    assert computed() == list(range(1, FILMS, 2))
    assert [facts["square"] for facts, _ in entries] == [value**2 for value in range(FILMS)]
    assert [facts["process"] == os.getpid() for facts, _ in entries] == [value % 2 == 0 for value in range(FILMS)]


def test_a_damaged_entry_is_computed_again_and_stored(cache: FilmCache) -> None:
    films = [0, 1, 2]
    first = run(cache, machine(workers=1), films)
    (cache.folder / "00" / "0001").write_bytes(b"damaged")
    computed()
    assert run(cache, machine(workers=1), films) == first
    assert computed() == [1]
    assert run(cache, machine(workers=1), films) == first
    assert computed() == []


def test_work_without_a_key_is_never_stored(cache: FilmCache) -> None:
    for _ in range(2):
        assert [facts["square"] for facts, _ in run(cache, machine(workers=1), [-1, 5, -2])] == [1, 25, 4]
    assert computed() == [-2, -2, -1, -1, 5]


def test_entries_are_yielded_before_later_films_are_done(cache: FilmCache) -> None:
    entries = cached_map(
        functools.partial(square, Path("log").resolve()), range(FILMS), cache, machine(workers=1), "square"
    )
    assert next(entries)[0]["square"] == 0
    assert len(computed()) < FILMS


def test_a_failed_film_stores_nothing(cache: FilmCache) -> None:
    with pytest.raises(ValueError, match="bytes must be in range"):
        run(cache, machine(workers=1), [3, 300])
    assert "0003" in cache
    assert "0300" not in cache
