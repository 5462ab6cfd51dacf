"""Two processes that train the same run at the same moment, as two experiments of DVC's queue may."""

import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cxr.train.state import run_lock
from tests.train.conftest import Run
from tests.train.test_resume import assert_same_result, start, wait_for_state


@pytest.mark.journey
def test_the_second_waits_for_the_first_and_both_end_with_the_same_bytes(
    new_run: Callable[[str], Run], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    epochs = 24
    first = new_run("first")
    process = start(first, epochs)
    wait_for_state(first)
    elsewhere = replace(new_run("second").places, runs=first.places.runs)  # the cache is shared, the outs are not
    second = Run(elsewhere, first.settings)
    with caplog.at_level(logging.INFO):
        second(epochs=epochs)
    assert "is being trained by another process; waiting for it" in caplog.text
    assert process.wait(timeout=300) == 0, process.communicate()[1]
    assert_same_result(second, first)


def test_a_second_holder_waits_although_the_first_deletes_its_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As a run that is complete does."""
    folder, found = tmp_path / "run", list[bool]()
    folder.mkdir()

    def second() -> None:
        with run_lock(folder):
            found.append(folder.is_dir())

    with caplog.at_level(logging.INFO):
        with run_lock(folder):
            waiting = threading.Thread(target=second)
            waiting.start()
            while "waiting for it" not in caplog.text:
                time.sleep(0.01)
            assert found == []
            shutil.rmtree(folder)
            time.sleep(0.2)
            assert found == []
        waiting.join(60)
    assert found == [False]


def test_a_run_that_fails_releases_its_lock(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), run_lock(tmp_path / "run"):
        raise KeyboardInterrupt
    entered = threading.Thread(target=lambda: run_lock(tmp_path / "run").__enter__())
    entered.start()
    entered.join(60)
    assert not entered.is_alive()


def test_the_other_processes_of_a_training_do_not_wait_for_their_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_lock(tmp_path / "run"):
        monkeypatch.setenv("LOCAL_RANK", "1")
        with run_lock(tmp_path / "run"):
            pass
