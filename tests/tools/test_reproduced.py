"""tools.reproduced names the stage that differs."""

import subprocess
from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from tools import reproduced

LOCK = """
schema: '2.0'
stages:
  segment:
    cmd: python -m stages.segment
    outs:
    - path: data/masks
      md5: aa
  train:
    cmd: python -m stages.train
    outs:
    - path: models/classifier.ckpt
      md5: {md5}
    - path: models/history.csv
      md5: cc
"""


@pytest.fixture(autouse=True)
def _committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dvc.lock").write_text(LOCK.format(md5="bb"))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)


def test_a_run_that_changed_nothing_passes() -> None:
    reproduced.main()


def test_the_stage_with_other_bytes_is_named() -> None:
    Path("dvc.lock").write_text(LOCK.format(md5="dd"))
    with pytest.raises(CxrError, match=r"stage train: models/classifier\.ckpt\. Changed files: dvc\.lock\."):
        reproduced.main()


def test_a_file_that_no_stage_wrote_is_named() -> None:
    Path("notes.txt").write_text("left behind")
    with pytest.raises(CxrError, match=r"no stage differs\. Changed files: notes\.txt"):
        reproduced.main()
