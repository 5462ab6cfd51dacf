"""`python -m cxr verify` names the stage that differs."""

import json
import logging
import subprocess
from pathlib import Path

import pytest

from cxr.__main__ import main
from cxr.core.errors import CxrError

LOCK = """
schema: '2.0'
stages:
  segment:
    cmd: python -m stages.segment
    deps:
    - path: cxr/segment
      md5: {code}
    outs:
    - path: data/masks
      md5: aa
  train:
    cmd: python -m stages.train
    deps:
    - path: data/masks
      md5: aa
    params:
      params.yaml:
        train:
          lr: {lr}
    outs:
    - path: models/classifier.ckpt
      md5: {md5}
    - path: models/history.csv
      md5: cc
"""


def write(md5: str = "bb", code: str = "ee", lr: float = 0.1, auroc: float = 0.95, called: int = 0) -> None:
    """What a run leaves; `called` of 200 films get another decision."""
    Path("dvc.lock").write_text(LOCK.format(md5=md5, code=code, lr=lr))
    Path("metrics").mkdir(exist_ok=True)
    Path("metrics/metrics.json").write_text(json.dumps({"test": {"auroc": auroc, "f1": auroc}, "lungs": {"dice": 0.9}}))
    rows = [f"film{number},test,{'pneumonia' if number < called else 'normal'}" for number in range(200)]
    Path("metrics/predictions.csv").write_text("\n".join(["image_id,split,decision", *rows, ""]))


@pytest.fixture(autouse=True)
def _committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write()
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)


@pytest.mark.parametrize("arguments", [[], ["--within", "0.005"]])
def test_a_run_that_changed_nothing_passes(arguments: list[str], caplog: pytest.LogCaptureFixture) -> None:
    main(["verify", *arguments])
    assert not caplog.records


def test_the_stage_with_other_bytes_is_named() -> None:
    write(md5="dd")
    with pytest.raises(CxrError, match=r"stage train: models/classifier\.ckpt\. Changed files: dvc\.lock\."):
        main(["verify"])


@pytest.mark.parametrize("arguments", [[], ["--within", "0.005"]])
def test_a_file_that_no_stage_wrote_is_named(arguments: list[str]) -> None:
    Path("notes.txt").write_text("left behind")
    with pytest.raises(CxrError, match=r"notes\.txt"):
        main(["verify", *arguments])


def test_other_rounding_passes_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    write(md5="dd", auroc=0.953, called=2)
    with caplog.at_level(logging.WARNING):
        main(["verify", "--within", "0.005"])
    assert "bytes differ from the commit" in caplog.text
    assert "stage train: models/classifier.ckpt" in caplog.text


@pytest.mark.parametrize(
    ("left", "told"),
    [
        ({"md5": "dd", "auroc": 0.956}, r"test auroc is 0\.956, committed 0\.95"),
        ({"md5": "dd", "called": 3}, r"1\.5% of the predictions of 200 films differ"),
        ({"code": "ff"}, r"dvc\.lock is older than cxr/segment of stage segment"),
        ({"lr": 0.2}, r"dvc\.lock is older than its parameters of stage train"),
    ],
)
def test_more_than_rounding_fails(left: dict[str, str], told: str) -> None:
    write(**left)  # type: ignore[arg-type]
    with pytest.raises(CxrError, match=told):
        main(["verify", "--within", "0.005"])
