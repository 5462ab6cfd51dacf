import logging
import os
import pkgutil
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cxr.core.files import write_json
from tests.train.conftest import Run

ROOT = Path(__file__).parents[2]
STEPS = 6  # batches per epoch of the small set
STEP = "cxr.train.loop.train_step"


class Killed(BaseException):
    """Stands for SIGKILL: nothing gets a chance to save."""


def die_at(monkeypatch: pytest.MonkeyPatch, function: str, count: int) -> None:
    """Kill the run at the `count`-th call of a function."""
    original, calls = pkgutil.resolve_name(function), [0]

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == count:
            raise Killed
        return original(*args, **kwargs)

    monkeypatch.setattr(function, wrapper)


def interrupted(run: Run, monkeypatch: pytest.MonkeyPatch, function: str, count: int, **changes: Any) -> Run:
    with monkeypatch.context() as patch:
        die_at(patch, function, count)
        with pytest.raises(Killed):
            run(**changes)
    return run


def assert_same_result(one: Run, other: Run) -> None:
    assert one.weights == other.weights
    assert one.places.history.read_bytes() == other.places.history.read_bytes()


@pytest.fixture
def save_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cxr.train.state.SAVE_SECONDS", -1.0)


@pytest.mark.usefixtures("save_every_batch")
@pytest.mark.parametrize(
    ("function", "count"),
    [
        (STEP, 4),  # in the first epoch
        (STEP, STEPS),  # at its last batch
        ("cxr.train.loop.score", 1),  # in the first validation
        ("cxr.train.loop.RunState.keep", 2),  # after a validation, before its classifier is written
        (STEP, 2 * STEPS + 1),  # at the first batch of the last epoch
    ],
)
def test_interrupted_and_resumed_equals_uninterrupted(
    new_run: Callable[[str], Run],
    whole: Run,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    function: str,
    count: int,
) -> None:
    broken = interrupted(new_run("broken"), monkeypatch, function, count)
    with caplog.at_level(logging.INFO):
        broken()
    assert "resuming run" in caplog.text
    assert_same_result(broken, whole)


def test_a_run_killed_before_the_minute_is_over_goes_on_from_the_start_of_its_epoch(
    new_run: Callable[[str], Run], whole: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = interrupted(new_run("broken"), monkeypatch, STEP, STEPS + 3)
    with caplog.at_level(logging.INFO):
        broken()
    assert "from epoch 1, batch 0" in caplog.text
    assert_same_result(broken, whole)


@pytest.mark.usefixtures("save_every_batch")
def test_pending_gradients_and_a_plateau_survive_an_interruption(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A rate so small that only the normalisation statistics move, and the loss rises.
    plateau = {"schedule": "plateau", "plateau_patience": 1, "warmup": 0.0, "lr": 1e-7, "monitor": "val_loss"}
    changes = {"accumulate": 4, "balance": "sampler", **plateau}
    whole = new_run("whole")(**changes)
    assert whole.history["lr"].nunique() > 1
    broken = interrupted(new_run("broken"), monkeypatch, STEP, 2 * STEPS + 3, **changes)
    assert_same_result(broken(**changes), whole)


@pytest.mark.usefixtures("save_every_batch")
def test_a_changed_parameter_never_resumes_another_runs_state(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fresh = new_run("fresh")(epochs=1, lr=2e-3)
    other = interrupted(new_run("other"), monkeypatch, STEP, 3)
    with caplog.at_level(logging.INFO):
        other(epochs=1, lr=2e-3)
    assert "resuming run" not in caplog.text
    assert_same_result(other, fresh)


@pytest.mark.usefixtures("save_every_batch")
def test_training_starts_over_with_a_warning_when_the_state_is_unreadable(
    new_run: Callable[[str], Run], whole: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = interrupted(new_run("broken"), monkeypatch, STEP, STEPS + 3)
    state = next(broken.places.runs.glob("*/resume.ckpt"))
    state.write_bytes(state.read_bytes()[:1000])
    broken()
    assert "training starts over" in caplog.text
    assert_same_result(broken, whole)


@pytest.mark.usefixtures("save_every_batch")
def test_a_kill_between_the_best_epoch_and_the_next_state_loses_neither(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The best classifier on disk is then of a later moment than the state."""
    run = new_run("between")
    with monkeypatch.context() as patch:
        patch.setattr("cxr.train.state.selected_epoch", lambda history, _: len(history) - 1)
        die_at(patch, "cxr.train.loop.FilmData.train_batches", 3)
        with pytest.raises(Killed):
            run()
        with caplog.at_level(logging.INFO):
            run()
    assert "resuming run" in caplog.text


def interrupted_by_sigterm(run: Run, monkeypatch: pytest.MonkeyPatch, function: str, **changes: Any) -> None:
    """SIGTERM comes at each call of a function; training leaves where it may."""
    original = pkgutil.resolve_name(function)

    def signalled(*args: Any, **kwargs: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(function, signalled)
        with pytest.raises(SystemExit) as left:
            run(**changes)
    assert left.value.code == 143


def test_sigterm_waits_for_the_optimizer_step_saves_and_leaves(
    new_run: Callable[[str], Run], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = new_run("broken")
    interrupted_by_sigterm(broken, monkeypatch, STEP, accumulate=4)
    with caplog.at_level(logging.INFO):
        broken(accumulate=4)
    assert re.search(r"resuming run \w+ from epoch 0, batch 4", caplog.text)
    assert_same_result(broken, new_run("whole")(accumulate=4))


def test_sigterm_during_validation_leaves_and_the_run_resumes(
    new_run: Callable[[str], Run], whole: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = new_run("broken")
    interrupted_by_sigterm(broken, monkeypatch, "cxr.train.loop.score")
    assert "SIGTERM during validation" in caplog.text
    assert_same_result(broken(), whole)


def test_a_finished_run_leaves_no_state_so_that_the_next_one_trains_anew(whole: Run) -> None:
    assert not list(whole.places.runs.glob("*/resume.ckpt"))
    assert len(list(whole.places.runs.glob("*.json"))) == 1


def start(run: Run, epochs: int) -> "subprocess.Popen[str]":
    """The same run in a process of its own."""
    places = {name: str(path) for name, path in vars(run.places).items() if isinstance(path, Path)}
    job = run.places.runs.parent / "job.json"
    write_json(
        job,
        {
            "settings": run.settings.model_dump() | {"epochs": epochs},
            "places": places,
            "shards": str(run.places.shards),
        },
    )
    return subprocess.Popen(
        [sys.executable, "-m", "tests.train.job", str(job)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def wait_for_state(run: Run, newer_than: float = 0.0) -> float:
    """Until a state file newer than a moment is there; returns its time."""
    for _ in range(6000):
        for state in run.places.runs.glob("*/resume.ckpt"):
            if state.stat().st_mtime > newer_than:
                return state.stat().st_mtime
        time.sleep(0.05)
    raise AssertionError("no state was saved")


@pytest.mark.journey
def test_sigkill_then_sigterm_then_a_last_start_end_as_if_nothing_happened(
    new_run: Callable[[str], Run],
) -> None:
    epochs = 12
    run = new_run("signals")
    process = start(run, epochs)
    saved = wait_for_state(run)
    process.kill()
    process.wait()

    process = start(run, epochs)
    wait_for_state(run, newer_than=saved)
    process.send_signal(signal.SIGTERM)
    log = process.communicate(timeout=300)[1]
    assert process.returncode == 143
    assert "SIGTERM" in log
    assert "resuming run" in log

    assert_same_result(run(epochs=epochs), new_run("whole")(epochs=epochs))
