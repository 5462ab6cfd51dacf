"""Atomic folders: a killed writer leaves the old folder or the new one, and the next writer clears its leftovers."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.core.files import atomic_folder

# Replaces a folder, and ends as by `kill -9` before a given call of `os.replace` or `shutil.rmtree`.
DIES_BEFORE_CALL = """
import os, pathlib, shutil, signal, sys
from cxr.core.files import atomic_folder
left = int(sys.argv[2])
def mortal(function):
    def call(*args, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)
    return call
os.replace, shutil.rmtree = mortal(os.replace), mortal(shutil.rmtree)
with atomic_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "new").write_text("new")
"""

DIES_BEFORE_LOCK = """
import fcntl, os, pathlib, signal, sys
from cxr.core.files import atomic_folder
fcntl.flock = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
with atomic_folder(pathlib.Path(sys.argv[1])):
    pass
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "old").write_text("old", encoding="utf-8")
    return tmp_path / "films"


def content(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def die_before(call: int, folder: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", DIES_BEFORE_CALL, str(folder), str(call)], check=False)
    assert killed.returncode == -signal.SIGKILL


def fail_in(folder: Path) -> None:
    with contextlib.suppress(RuntimeError), atomic_folder(folder) as temporary:
        (temporary / "half").write_text("half", encoding="utf-8")
        raise RuntimeError


def test_a_folder_is_replaced_as_a_whole_and_can_be_read_by_all(folder: Path) -> None:
    with atomic_folder(folder) as temporary:
        (temporary / "new").write_text("new", encoding="utf-8")
        assert content(folder) == ["old"]
    assert content(folder) == ["new"]
    assert folder.stat().st_mode & 0o777 == 0o755
    assert content(folder.parent) == ["films"]


def test_a_failed_writer_leaves_the_old_folder_and_no_temporary_files(folder: Path) -> None:
    fail_in(folder)
    assert content(folder) == ["old"]
    assert content(folder.parent) == ["films"]


@pytest.mark.parametrize(("call", "expected"), [(1, ["old"]), (2, ["old"]), (3, ["new"])])
def test_a_killed_writer_loses_neither_folder_and_the_next_one_clears_up(
    folder: Path, call: int, expected: list[str]
) -> None:
    die_before(call, folder)
    fail_in(folder)  # the next writer first restores or deletes the leftovers
    assert content(folder) == expected
    assert content(folder.parent) == ["films"]


def test_leftovers_of_a_writer_killed_before_it_locked_its_folder_are_deleted(folder: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", DIES_BEFORE_LOCK, str(folder)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(content(folder.parent)) == 2
    fail_in(folder)
    assert content(folder.parent) == ["films"]


def test_a_writer_makes_a_new_folder_when_another_writer_deleted_the_unlocked_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, called = fcntl.flock, []

    def flock(descriptor: int, operation: int) -> None:
        called.append(operation)
        if len(called) == 1:
            fail_in(folder)  # another writer starts and ends
        original(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with atomic_folder(folder) as temporary:
        (temporary / "new").write_text("new", encoding="utf-8")
    assert len(called) > 3
    assert content(folder) == ["new"]
    assert content(folder.parent) == ["films"]


def test_leftovers_of_a_killed_writer_are_ignored_by_git_and_dvc(folder: Path) -> None:
    die_before(1, folder)
    assert sorted(path.suffix for path in folder.parent.iterdir()) == ["", ".tmp"]


def test_the_folder_of_a_running_writer_is_not_touched(folder: Path) -> None:
    with atomic_folder(folder) as first:
        (first / "first").write_text("first", encoding="utf-8")
        with atomic_folder(folder) as second:
            (second / "second").write_text("second", encoding="utf-8")
        assert content(folder) == ["second"]
        assert content(first) == ["first"]
    assert content(folder) == ["first"]


def test_leftovers_of_another_folder_are_not_touched(folder: Path) -> None:
    other = folder.with_name("films.small")
    other.mkdir()
    die_before(1, other)
    fail_in(folder)
    assert len(list(folder.parent.glob(".films.small.*.tmp"))) == 1


def test_a_linked_folder_is_replaced_and_its_target_kept(folder: Path) -> None:
    """DVC's outs are links with `cache.type symlink`."""
    cached = folder.rename(folder.with_name("cached"))
    os.symlink(cached, folder)
    with atomic_folder(folder) as temporary:
        (temporary / "new").write_text("new", encoding="utf-8")
    assert (content(folder), content(cached)) == (["new"], ["old"])
