"""The edge of a stage: a user's fault is one line and exit code 1; a programmer's keeps its traceback."""

import errno
import os

import pytest

from cxr.core.errors import CxrError, did_you_mean
from cxr.runtime.console import run_stage


def fail(error: Exception) -> None:
    raise error


def test_a_users_fault_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_stage(lambda: fail(CxrError("films/a.png: empty file; replace it")))
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: films/a.png: empty file; replace it\n"


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "No space left on device; free some space, then run again: what was finished is kept"),
        (errno.EROFS, "Read-only file system; let it be written, or work in a folder that can be, then run again"),
        (errno.EIO, "Input/output error; look at the disk (dmesg), then run again"),
    ],
)
def test_what_a_disk_refuses_is_one_line(capsys: pytest.CaptureFixture[str], number: int, line: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_stage(lambda: fail(OSError(number, os.strerror(number), "data/npz")))
    assert stopped.value.code == 1
    told = capsys.readouterr().err
    assert told.startswith(f"error: data/npz: {line}")
    assert len(told.splitlines()) == 1


def test_any_other_fault_of_the_system_keeps_its_traceback() -> None:
    with pytest.raises(ConnectionResetError):
        run_stage(lambda: fail(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")))


def test_a_programmers_fault_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_stage(lambda: fail(ZeroDivisionError()))


def test_a_misspelling_gets_a_hint_and_nonsense_does_not() -> None:
    assert did_you_mean("epohcs", ["epochs", "lr"]) == "; did you mean 'epochs'?"
    assert did_you_mean("zzz", ["epochs", "lr"]) == ""


def test_a_name_that_is_known_twice_is_proposed_once() -> None:
    assert did_you_mean("fixd", ["fixed", "youden", "fixed"]) == "; did you mean 'fixed'?"
