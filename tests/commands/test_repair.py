"""`python -m cxr repair` repairs the files that a killed DVC left half-written, and changes no other."""

import subprocess
from pathlib import Path

import pytest
from dvc.lock import make_lock

from cxr.__main__ import main
from cxr.commands.repair import LOCK, TMP
from cxr.core.errors import CxrError

WHOLE = "schema: '2.0'\nstages:\n  check:\n    cmd: python -m stages.check\n"
RECORD = '{"write": {}, "read": {}}'


@pytest.fixture
def repository(workspace: Path) -> Path:
    """A repository whose last commit has a dvc.lock."""
    (workspace / TMP / "exps").mkdir(parents=True)
    (workspace / LOCK).write_text(WHOLE, encoding="utf-8")
    for line in ("init -q", "add dvc.lock", "-c user.name=a -c user.email=a@b.invalid commit -qm start"):
        subprocess.run(["git", *line.split()], cwd=workspace, check=True)
    return workspace


@pytest.mark.parametrize("torn", ["", "stages:\n  check:\n", "schema: '2.0'\nstages:\n  check:\n    cm"])
def test_a_torn_lock_file_is_restored_from_the_last_commit(repository: Path, torn: str) -> None:
    (repository / LOCK).write_text(torn, encoding="utf-8")
    main(["repair"])
    assert (repository / LOCK).read_text(encoding="utf-8") == WHOLE


def test_a_torn_lock_file_that_was_never_committed_is_deleted(repository: Path) -> None:
    for line in ("rm -q --cached dvc.lock", "-c user.name=a -c user.email=a@b.invalid commit -qm gone"):
        subprocess.run(["git", *line.split()], cwd=repository, check=True)
    (repository / LOCK).write_text("", encoding="utf-8")
    main(["repair"])
    assert not (repository / LOCK).exists()


@pytest.mark.parametrize("folder", [TMP, TMP / "exps"])
@pytest.mark.parametrize("torn", ["", '{"write": {"data', "[]"])
def test_a_torn_record_of_locks_is_deleted(repository: Path, folder: Path, torn: str) -> None:
    (repository / folder / "rwlock").write_text(torn, encoding="utf-8")
    main(["repair"])
    assert not (repository / folder / "rwlock").exists()


def test_readable_files_are_not_changed(repository: Path) -> None:
    (repository / TMP / "rwlock").write_text(RECORD, encoding="utf-8")
    (repository / LOCK).write_text(WHOLE + "  demo:\n    cmd: python -m stages.demo\n", encoding="utf-8")
    main(["repair"])
    assert (repository / TMP / "rwlock").read_text(encoding="utf-8") == RECORD
    assert "stages.demo" in (repository / LOCK).read_text(encoding="utf-8")


def test_files_of_a_running_dvc_are_not_changed(repository: Path) -> None:
    (repository / LOCK).write_text("", encoding="utf-8")
    with (
        make_lock(str(repository / TMP / "lock"), tmp_dir=str(repository / TMP)),
        pytest.raises(CxrError, match="another DVC process is running"),
    ):
        main(["repair"])
    assert (repository / LOCK).read_text(encoding="utf-8") == ""
