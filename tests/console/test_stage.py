"""The edge of a stage: a user's fault is one line and exit code 1; a programmer's keeps its traceback."""

import pytest

from cxr.console.stage import run_stage
from cxr.core.errors import CxrError, did_you_mean


def fail(error: Exception) -> None:
    raise error


def test_a_users_fault_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        run_stage(lambda: fail(CxrError("films/a.png: empty file; replace it")))
    assert stopped.value.code == 1
    assert capsys.readouterr().err == "error: films/a.png: empty file; replace it\n"


def test_a_programmers_fault_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_stage(lambda: fail(ZeroDivisionError()))


def test_a_misspelling_gets_a_hint_and_nonsense_does_not() -> None:
    assert did_you_mean("epohcs", ["epochs", "lr"]) == "; did you mean 'epochs'?"
    assert did_you_mean("zzz", ["epochs", "lr"]) == ""


def test_a_name_that_is_known_twice_is_proposed_once() -> None:
    assert did_you_mean("fixd", ["fixed", "youden", "fixed"]) == "; did you mean 'fixed'?"
