"""Atomic files: a reader sees the old content or the new, whatever happens to the writer."""

import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from cxr.core.files import atomic_path, digest, write_bytes, write_csv, write_json

# Writes half of a new file, then ends as by `kill -9`.
DIES_HALF_WAY = """
import os, pathlib, signal, sys
from cxr.core.files import atomic_path
with atomic_path(pathlib.Path(sys.argv[1])) as temporary, open(temporary, "wb") as stream:
    stream.write(b"half of the new")
    stream.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def die_half_way(path: Path) -> None:
    result = subprocess.run([sys.executable, "-c", DIES_HALF_WAY, str(path)], check=False)
    assert result.returncode == -signal.SIGKILL


def test_a_killed_writer_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    write_bytes(path, b"old")
    die_half_way(path)
    assert path.read_bytes() == b"old"


def test_leftovers_of_a_killed_writer_are_ignored_by_git_and_dvc(tmp_path: Path) -> None:
    die_half_way(tmp_path / "film.png")
    assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]


def test_an_exception_leaves_the_old_file_and_no_temporary_files(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    write_bytes(path, b"old")

    def fail_half_way() -> None:
        with atomic_path(path) as temporary:
            temporary.write_bytes(b"new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["film.png"]


def test_two_writers_of_one_file_use_separate_temporary_files(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "f") as one, atomic_path(tmp_path / "f") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "f").read_text() == "one"  # the last to end
    assert list(tmp_path.iterdir()) == [tmp_path / "f"]


def test_tables_and_json_have_unix_lines_and_no_index(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"x": [1, 2], "y": ["a", ""]}))
    assert (tmp_path / "a.csv").read_bytes() == b"x,y\n1,a\n2,\n"
    write_json(tmp_path / "a.json", {"b": 1, "a": [0.5]})
    assert (tmp_path / "a.json").read_text(encoding="utf-8").startswith('{\n  "b": 1,')


def test_a_carriage_return_in_a_table_survives_reading(tmp_path: Path) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"path": ["a\rb.png", "c.png"], "width": [1, 2]}))
    assert pd.read_csv(tmp_path / "a.csv").to_dict("list") == {"path": ["a\rb.png", "c.png"], "width": [1, 2]}


def test_nan_in_json_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"auroc": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_a_digest_depends_on_where_the_parts_are_cut() -> None:
    assert digest(b"ab", b"c") == digest(b"ab", b"c")
    assert len({digest(b"ab", b"c"), digest(b"a", b"bc"), digest(b"abc")}) == 3
