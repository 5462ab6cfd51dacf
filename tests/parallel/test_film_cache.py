"""The per-film cache: computed once, and never trusted when damaged."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cxr.core.code import code_version
from cxr.parallel.film_cache import Entry, FilmCache, NotCached, cache_root, prune, spec_key

ENTRY: Entry = ({"area": 0.25, "reason": ""}, b"mask\nbytes\x00")
KEY = "ab12"

DIES_BEFORE_THE_RENAME = """
import os, pathlib, signal, sys
from cxr.parallel.film_cache import FilmCache
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
FilmCache(pathlib.Path(sys.argv[1]), "segment", "spec").get_or_compute("ab12", lambda: ({}, b"half"))
"""


class Work:
    """Counts how often a result is really computed."""

    def __init__(self) -> None:
        self.runs = 0

    def __call__(self) -> Entry:
        self.runs += 1
        return ENTRY


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def cache(tmp_path: Path) -> FilmCache:
    return FilmCache(tmp_path, "segment", "spec")


def entry_file(cache: FilmCache) -> Path:
    return cache.folder / KEY[:2] / KEY


def test_a_result_is_computed_once(cache: FilmCache, work: Work) -> None:
    assert cache.get_or_compute(KEY, work) == ENTRY
    assert cache.get_or_compute(KEY, work) == ENTRY
    assert work.runs == 1


def test_another_film_stage_or_specification_has_its_own_entry(tmp_path: Path, work: Work) -> None:
    FilmCache(tmp_path, "segment", "spec").get_or_compute(KEY, work)
    FilmCache(tmp_path, "segment", "spec").get_or_compute("cd34", work)
    FilmCache(tmp_path, "segment", "other").get_or_compute(KEY, work)
    FilmCache(tmp_path, "preprocess", "spec").get_or_compute(KEY, work)
    assert work.runs == 4


@pytest.mark.parametrize("damage", [b"", b"short", bytes(200)])
def test_a_damaged_entry_is_computed_again_and_mended(cache: FilmCache, work: Work, damage: bytes) -> None:
    cache.get_or_compute(KEY, work)
    entry_file(cache).write_bytes(damage)
    assert cache.get_or_compute(KEY, work) == ENTRY
    assert cache.get_or_compute(KEY, work) == ENTRY
    assert work.runs == 2


def test_a_reader_serves_what_is_stored_and_computes_nothing(cache: FilmCache, work: Work) -> None:
    assert cache.reader() is None  # nothing is stored yet
    cache.get_or_compute(KEY, work)
    reader = cache.reader()
    assert reader is not None
    assert reader.get_or_compute(KEY, work) == ENTRY
    with pytest.raises(NotCached):
        reader.get_or_compute("cd34", work)
    assert work.runs == 1


@pytest.mark.parametrize("position", [0, 20, -1])
def test_one_flipped_bit_is_noticed(cache: FilmCache, work: Work, position: int) -> None:
    cache.get_or_compute(KEY, work)
    content = bytearray(entry_file(cache).read_bytes())
    content[position] ^= 1
    entry_file(cache).write_bytes(bytes(content))
    assert cache.get_or_compute(KEY, work) == ENTRY
    assert work.runs == 2


def test_a_truncated_entry_is_computed_again(cache: FilmCache, work: Work) -> None:
    cache.get_or_compute(KEY, work)
    content = entry_file(cache).read_bytes()
    entry_file(cache).write_bytes(content[:-3])
    cache.get_or_compute(KEY, work)
    assert work.runs == 2


def test_a_process_killed_mid_write_leaves_no_entry(tmp_path: Path, cache: FilmCache, work: Work) -> None:
    killed = subprocess.run([sys.executable, "-c", DIES_BEFORE_THE_RENAME, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not entry_file(cache).exists()
    assert cache.get_or_compute(KEY, work) == ENTRY


def test_a_failed_computation_stores_nothing(cache: FilmCache, work: Work) -> None:
    def fail() -> Entry:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        cache.get_or_compute(KEY, fail)
    cache.get_or_compute(KEY, work)
    assert work.runs == 1


def test_experiments_in_a_copy_share_the_cache_of_the_main_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", "/main/checkout")
    assert cache_root() == Path("/main/checkout/.cache/films")


def test_comments_do_not_change_the_code_version_but_code_does(tmp_path: Path) -> None:
    module = tmp_path / "step.py"
    versions = []
    for text in ("x = 1\n", "# why\nx   = 1\n", "x = 2\n"):
        module.write_text(text, encoding="utf-8")
        versions.append(code_version(tmp_path))
    assert versions[0] == versions[1] != versions[2]


def test_a_specification_depends_on_every_fact_and_their_order() -> None:
    assert len({spec_key(["a", "b"]), spec_key(["b", "a"]), spec_key(["ab"]), spec_key(["a", "b", "c"])}) == 4


def test_prune_removes_only_what_was_not_used_lately(tmp_path: Path, cache: FilmCache, work: Work) -> None:
    cache.get_or_compute(KEY, work)
    cache.get_or_compute("cd34", work)
    old = time.time() - 40 * 86400
    for path in (entry_file(cache), cache.folder / "cd" / "cd34"):
        os.utime(path, (old, old))
    cache.get_or_compute("cd34", work)  # a read counts as use
    files, size = prune(tmp_path, days=30)
    assert (files, size > 0) == (1, True)
    assert not entry_file(cache).parent.exists()
    cache.get_or_compute("cd34", work)
    assert work.runs == 2
