"""Whatever call of the system fails, and whenever a process ends: earlier results are whole, and a rerun completes."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cxr.core.files import atomic_folder, write_bytes
from cxr.films.cache import FilmCache
from cxr.models.classifier import load_classifier, new_classifier
from cxr.runtime.console import run_stage
from cxr.train.config import TrainSection
from cxr.train.state import Position, RunState
from tests.faults import EXIT, Fault, calls_of, disturbed
from tests.settings import ROOT, section

FAULTS = pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO, EXIT], ids=["ENOSPC", "EIO", "exit"])
OLD, NEW = b"old" * 1000, b"new" * 2000


def try_every_call(
    folder: Path, fault: Fault, prepare: Callable[[], object], action: Callable[[], object], check: Callable[[], object]
) -> list[str]:
    """Let each call of an action fail in turn, in an empty folder each time; then check, run it again and check.

    Returns the calls of an undisturbed action.
    """

    def begin() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        prepare()

    begin()
    calls = calls_of(action)
    for fatal in range(1, len(calls) + 1):
        begin()
        disturbed(action, fatal, fault)
        check()
        action()
        check()
    return calls


@FAULTS
def test_a_file_is_the_old_one_or_the_new_one(tmp_path: Path, fault: Fault) -> None:
    path = tmp_path / "here" / "file"
    calls = try_every_call(
        path.parent,
        fault,
        lambda: write_bytes(path, OLD),
        lambda: write_bytes(path, NEW),
        lambda: path.read_bytes() in (OLD, NEW) or pytest.fail("half a file"),
    )
    assert {"open", "write", "fsync", "replace"} <= set(calls)
    assert path.read_bytes() == NEW


@FAULTS
def test_a_folder_is_the_old_one_or_the_new_one_and_the_next_writer_clears_up(tmp_path: Path, fault: Fault) -> None:
    path = tmp_path / "here" / "films"

    def write(content: bytes) -> None:
        with atomic_folder(path) as folder:
            for name in ("a", "b"):
                (folder / name).write_bytes(content)

    def check() -> None:
        if not path.exists():  # moved aside by a process that ended: the next writer puts it back
            with atomic_folder(path) as folder:
                shutil.copytree(path, folder, dirs_exist_ok=True)
        assert {name.name: name.read_bytes() for name in path.iterdir()} in ({"a": OLD, "b": OLD}, {"a": NEW, "b": NEW})

    calls = try_every_call(path.parent, fault, lambda: write(OLD), lambda: write(NEW), check)
    assert calls.count("replace") == 2
    assert calls.count("write") == 2
    assert {entry.name for entry in path.parent.iterdir()} == {"films"}


@FAULTS
def test_a_film_of_the_cache_is_whole_or_not_there(tmp_path: Path, fault: Fault) -> None:
    cache = FilmCache(tmp_path / "here", "segment", "spec")

    def check() -> None:
        assert cache.get("ab12") in (None, ({"area": 0.25}, NEW))
        assert cache.get("cd34") == ({}, OLD)  # what another run stored

    calls = try_every_call(
        tmp_path / "here",
        fault,
        lambda: cache.put("cd34", ({}, OLD)),
        lambda: cache.put("ab12", ({"area": 0.25}, NEW)),
        check,
    )
    assert {"open", "write", "replace"} <= set(calls)
    assert cache.get("ab12") == ({"area": 0.25}, NEW)


@FAULTS
def test_a_run_resumes_from_its_last_state_or_the_one_before(tmp_path: Path, fault: Fault) -> None:
    settings, classifier = section(TrainSection, keep="last"), new_classifier("test_resnet", ("a", "b"), 32)

    def save(epoch: int) -> None:
        """The end of an epoch, as the training loop has it."""
        state = RunState(tmp_path / "run")
        history: list[dict[str, Any]] = [{"epoch": number, "val_auroc": 0.5} for number in range(epoch)]
        state.keep(classifier, history, settings)
        state.save(Position(epoch, history=history), {"classifier": classifier.state_dict()}, settings)

    def check() -> None:
        state = RunState(tmp_path / "run")
        at, tensors = state.load(settings)
        assert at.epoch in (1, 2)
        assert tensors["classifier"].keys() == classifier.state_dict().keys()
        load_classifier(state.folder / f"kept-{at.epoch - 1}.ckpt")

    calls = try_every_call(tmp_path / "run", fault, lambda: save(1), lambda: save(2), check)
    assert calls.count("fsync") == 2
    assert calls.count("replace") >= 2
    assert RunState(tmp_path / "run").load(settings)[0].epoch == 2


@pytest.fixture
def cohort(workspace: Path) -> Path:
    """A workspace with the settings of the repository, and an earlier cohort in it."""
    shutil.copy(ROOT / "params.yaml", workspace)
    compute = (ROOT / "compute.yaml").read_text(encoding="utf-8")
    (workspace / "compute.yaml").write_text(compute.replace("workers: auto", "workers: 1"), encoding="utf-8")
    (workspace / "data/demo").mkdir(parents=True)
    (workspace / "data/demo/film.png").write_bytes(OLD)
    return workspace


def assert_as_before(cohort: Path) -> None:
    assert [path.name for path in (cohort / "data").iterdir()] == ["demo"]
    assert [path.read_bytes() for path in (cohort / "data/demo").iterdir()] == [OLD]


def test_no_room_for_a_film_is_one_line_and_the_earlier_films_stay(cohort: Path) -> None:
    """The kernel refuses: no file may be longer than 4 kB, as on a disk that is full."""
    done = subprocess.run(
        [sys.executable, "-m", "stages.demo"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    told = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1, done.stderr
    assert "File too large; raise the limit (ulimit -f), then run again: finished work is kept" in told[0]
    assert "Traceback" not in done.stderr
    assert_as_before(cohort)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_one_line_that_names_it(
    cohort: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    """`root` may write where permissions forbid it, so the call itself is refused."""

    def refused(path: Any, mode: int = 0o777, **_: Any) -> None:
        raise OSError(number, os.strerror(number), str(path))

    def write() -> None:
        with atomic_folder(cohort / "data/demo"):
            pytest.fail("there is nothing to write into")

    monkeypatch.setattr(os, "mkdir", refused)
    with pytest.raises(SystemExit) as stopped:
        run_stage(write)
    assert stopped.value.code == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"error: {cohort / 'data'}")
    assert f"{os.strerror(number)}; make it writable, or work in another folder" in told[0]
    monkeypatch.undo()
    assert_as_before(cohort)
