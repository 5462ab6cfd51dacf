"""Two concurrent runs with one per-film cache, such as two workers of DVC's queue."""

import hashlib
import json
import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from cxr.films.cache import Entry, FilmCache, FilmTask, cached_map
from tests.settings import machine

FILMS = range(300)


def noise(value: int) -> FilmTask:
    """A film whose result is large enough to be written in pieces."""

    def compute() -> Entry:
        return {"film": value}, hashlib.blake2b(str(value).encode()).digest() * 500

    return FilmTask(hashlib.md5(str(value).encode()).hexdigest(), compute)


def run(root: Path, films: list[int], start: Barrier | None, out: Path) -> None:
    """One run; writes the hashes of all its results."""
    if start is not None:
        start.wait(60)
    entries = list(cached_map(noise, films, FilmCache(root, "noise", "spec"), machine(workers=1), "noise"))
    found = {str(facts["film"]): hashlib.md5(blob).hexdigest() for facts, blob in entries}
    out.write_text(json.dumps(found, sort_keys=True))


@pytest.fixture
def alone(tmp_path: Path) -> str:
    run(tmp_path / "alone", list(FILMS), None, tmp_path / "alone.json")
    return (tmp_path / "alone.json").read_text()


def test_concurrent_runs_give_the_results_and_the_cache_of_a_single_run(tmp_path: Path, alone: str) -> None:
    processes = multiprocessing.get_context("spawn")
    start, outs = processes.Barrier(2), [tmp_path / "forwards.json", tmp_path / "backwards.json"]
    orders = [list(FILMS), list(reversed(FILMS))]
    runs = [
        processes.Process(target=run, args=(tmp_path / "shared", films, start, out))
        for films, out in zip(orders, outs, strict=True)
    ]
    for process in runs:
        process.start()
    for process in runs:
        process.join()
    assert [process.exitcode for process in runs] == [0, 0]
    assert [out.read_text() for out in outs] == [alone, alone]
    shared, own = (
        {path.name: path.read_bytes() for path in (tmp_path / folder).rglob("*") if path.is_file()}
        for folder in ("shared", "alone")
    )
    assert shared == own
