"""Errors of a stage: a CxrError is one line and exit code 1; a programming error keeps its traceback."""

import errno
import os

import pytest

from cxr.core.errors import CxrError, did_you_mean
from cxr.runtime.console import run_stage


def fail(error: Exception) -> None:
    raise error


def test_a_cxr_error_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_stage(lambda: fail(CxrError("films/a.png: empty file; replace it")))
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: films/a.png: empty file; replace it\n"


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "No space left on device; free some space, then run again"),
        (errno.EROFS, "Read-only file system; make it writable, or work in another folder, then run again"),
        (errno.EIO, "Input/output error; check the disk (dmesg), then run again"),
    ],
)
def test_a_disk_error_is_one_line(capsys: pytest.CaptureFixture[str], number: int, line: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_stage(lambda: fail(OSError(number, os.strerror(number), "data/npz")))
    assert stopped.value.code == 1
    printed = capsys.readouterr().err
    assert printed.startswith(f"error: data/npz: {line}")
    assert len(printed.splitlines()) == 1


def test_any_other_os_error_keeps_its_traceback() -> None:
    with pytest.raises(ConnectionResetError):
        run_stage(lambda: fail(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")))


def test_a_programming_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_stage(lambda: fail(ZeroDivisionError()))


def test_a_misspelling_gets_a_hint_and_nonsense_does_not() -> None:
    assert did_you_mean("epohcs", ["epochs", "lr"]) == "; did you mean 'epochs'?"
    assert did_you_mean("zzz", ["epochs", "lr"]) == ""


def test_a_duplicate_name_is_suggested_once() -> None:
    assert did_you_mean("fixd", ["fixed", "youden", "fixed"]) == "; did you mean 'fixed'?"
