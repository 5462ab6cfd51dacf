"""The state of a run in two files, of which an incomplete one is detected."""

import os
from pathlib import Path

import pytest

from cxr.aws.container import checkpoints
from cxr.aws.container.checkpoints import SLOTS, Checkpoints, read


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only `finish` looks at the folder."""
    monkeypatch.setattr(checkpoints, "CHECK_S", 3600.0)


def save(folder: Path, kept: Path, files: dict[str, str]) -> None:
    """A job that restores the state, replaces it by these files as training does, and ends."""
    job = Checkpoints(folder, kept)
    job.start()
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.unlink()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".tmp").write_text(text)
        os.replace(path.with_suffix(".tmp"), path)
    job.finish()


def restored(folder: Path, kept: Path) -> dict[str, str]:
    job = Checkpoints(folder, kept)
    job.start()
    job.finish()
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("patient")
def test_the_newest_state_is_restored_with_any_file_names(tmp_path: Path) -> None:
    kept = tmp_path / "checkpoints"
    for epoch in range(3):
        save(tmp_path / f"job{epoch}", kept, {f"run/best-{epoch}.ckpt": "best", "run/resume.ckpt": f"state {epoch}"})
    assert {path.name for path in kept.iterdir()} == set(SLOTS)
    assert restored(tmp_path / "next", kept) == {"run/best-2.ckpt": "best", "run/resume.ckpt": "state 2"}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("damage", [b"", b"torn", None])
def test_an_incomplete_copy_leaves_the_previous_state(tmp_path: Path, damage: bytes | None) -> None:
    kept = tmp_path / "checkpoints"
    for epoch in range(2):
        save(tmp_path / f"job{epoch}", kept, {"run/resume.ckpt": f"state {epoch}"})
    newest = max((kept / name for name in SLOTS), key=lambda path: (read(path) or (0, b""))[0])
    newest.write_bytes(newest.read_bytes()[:-1] if damage is None else damage)
    assert restored(tmp_path / "next", kept) == {"run/resume.ckpt": "state 0"}


@pytest.mark.usefixtures("patient")
def test_a_finished_run_leaves_no_state(tmp_path: Path) -> None:
    kept = tmp_path / "checkpoints"
    save(tmp_path / "job", kept, {"run/resume.ckpt": "state"})
    save(tmp_path / "last", kept, {})
    assert restored(tmp_path / "next", kept) == {}


@pytest.mark.usefixtures("patient")
def test_a_file_that_vanishes_while_being_read_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, kept = tmp_path / "runs", tmp_path / "checkpoints"
    job = Checkpoints(runs, kept)
    job.start()
    (runs / "best-0.ckpt").write_text("best")
    (runs / "resume.ckpt").write_text("state")
    add = checkpoints.tarfile.TarFile.add

    def add_while_training_swaps(tar: object, path: Path, name: str) -> None:
        add(tar, path, name)  # type: ignore[arg-type]
        (runs / "resume.ckpt").unlink(missing_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.tarfile.TarFile, "add", add_while_training_swaps)
        job._keep()
    assert not list(kept.glob("*"))
    job.finish()
    assert restored(tmp_path / "next", kept) == {"best-0.ckpt": "best"}
