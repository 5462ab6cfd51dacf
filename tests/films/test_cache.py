"""The per-film cache: shared by experiments; damaged entries are ignored."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cxr.films import cache as film_cache
from cxr.films.cache import Entry, FilmCache, cache_root, prune, spec_key

ENTRY: Entry = ({"area": 0.25, "reason": ""}, b"mask\nbytes\x00")
KEY = "ab12"

DIES_BEFORE_THE_RENAME = """
import os, pathlib, signal, sys
from cxr.films.cache import FilmCache
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
FilmCache(pathlib.Path(sys.argv[1]), "segment", "spec").put("ab12", ({}, b"half"))
"""


@pytest.fixture
def cache(tmp_path: Path) -> FilmCache:
    return FilmCache(tmp_path, "segment", "spec")


def entry_file(cache: FilmCache) -> Path:
    return cache.folder / KEY[:2] / KEY


def test_a_stored_entry_is_found(cache: FilmCache) -> None:
    assert KEY not in cache
    assert cache.get(KEY) is None
    cache.put(KEY, ENTRY)
    assert KEY in cache
    assert cache.get(KEY) == ENTRY


def test_another_film_stage_or_specification_has_its_own_entry(tmp_path: Path) -> None:
    FilmCache(tmp_path, "segment", "spec").put(KEY, ENTRY)
    assert "cd34" not in FilmCache(tmp_path, "segment", "spec")
    assert KEY not in FilmCache(tmp_path, "segment", "other")
    assert KEY not in FilmCache(tmp_path, "preprocess", "spec")


@pytest.mark.parametrize("damage", [b"", b"short", bytes(200)])
def test_a_damaged_entry_is_ignored(cache: FilmCache, damage: bytes) -> None:
    cache.put(KEY, ENTRY)
    entry_file(cache).write_bytes(damage)
    assert cache.get(KEY) is None


@pytest.mark.parametrize("position", [0, 20, -1])
def test_one_flipped_bit_is_detected(cache: FilmCache, position: int) -> None:
    cache.put(KEY, ENTRY)
    content = bytearray(entry_file(cache).read_bytes())
    content[position] ^= 1
    entry_file(cache).write_bytes(bytes(content))
    assert cache.get(KEY) is None


def test_a_truncated_entry_is_ignored(cache: FilmCache) -> None:
    cache.put(KEY, ENTRY)
    entry_file(cache).write_bytes(entry_file(cache).read_bytes()[:-3])
    assert cache.get(KEY) is None


def test_a_process_killed_mid_write_leaves_no_entry(tmp_path: Path, cache: FilmCache) -> None:
    killed = subprocess.run([sys.executable, "-c", DIES_BEFORE_THE_RENAME, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert KEY not in cache


def test_experiments_in_a_copy_share_the_cache_of_the_main_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", "/main/checkout")
    assert cache_root() == Path("/main/checkout/.cache/films")


def test_a_specification_depends_on_every_fact_and_their_order() -> None:
    assert len({spec_key(["a", "b"]), spec_key(["b", "a"]), spec_key(["ab"]), spec_key(["a", "b", "c"])}) == 4


def test_prune_removes_only_entries_not_used_recently(tmp_path: Path, cache: FilmCache) -> None:
    cache.put(KEY, ENTRY)
    cache.put("cd34", ENTRY)
    old = time.time() - 40 * 86400
    for path in (entry_file(cache), cache.folder / "cd" / "cd34"):
        os.utime(path, (old, old))
    cache.get("cd34")  # a read counts as use
    files, size = prune(tmp_path, days=30)
    assert (files, size > 0) == (1, True)
    assert not entry_file(cache).parent.exists()
    assert cache.get("cd34") == ENTRY


def test_an_entry_is_stored_even_when_prune_deletes_its_empty_folder(
    cache: FilmCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, tries = film_cache.write_bytes, iter([True, False])

    def write_after_prune(path: Path, content: bytes, durable: bool) -> None:
        if next(tries):
            raise FileNotFoundError(path)
        write(path, content, durable)

    monkeypatch.setattr(film_cache, "write_bytes", write_after_prune)
    cache.put(KEY, ENTRY)
    assert cache.get(KEY) == ENTRY


def test_prune_ignores_a_file_that_a_running_stage_renames(
    tmp_path: Path, cache: FilmCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.put(KEY, ENTRY)
    monkeypatch.setattr(Path, "is_file", lambda path: path.name == KEY and path.rename(path.with_name("cd34")))
    assert prune(tmp_path, days=-1) == (0, 0)
    monkeypatch.undo()
    assert cache.folder / KEY[:2] / "cd34" in list(tmp_path.rglob("*"))
