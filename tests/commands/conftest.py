"""A toy repository whose pipeline writes metrics that are functions of its parameters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINE = """
stages:
  train:
    cmd: python train.py
    deps:
    - train.py
    params:
    - train
    metrics:
    - metrics/metrics.json:
        cache: false
    - metrics/details/shift.json:
        cache: false
    - metrics/details/checks.json:
        cache: false
"""
STAGE = """
import json, os, pathlib, re
seed = int(re.search(r"seed: (\\d+)", pathlib.Path("params.yaml").read_text())[1])
with open(os.environ["TOLD"], "a") as told: print(seed, file=told)
assert seed != int(os.environ.get("BROKEN", -1))
crop = "crop" in pathlib.Path("params.yaml").read_text()
auroc = lambda value: {"auroc": value, "auroc_low": value - 0.1, "auroc_high": value + 0.1}
views = {"validation": auroc(0.99 + crop / 100), "corrupted": auroc(0.9), "swapped": auroc(0.8 - crop / 10)}
views["swapped"] |= {"auroc_hog": 0.6, "auroc_hog_low": 0.5, "auroc_hog_high": 0.7}
views["validation"] |= {"auroc_hog": 0.8, "auroc_hog_low": None, "auroc_hog_high": None}
views["bias_conflicting"] = {"reason": "there are no such films"}
pathlib.Path("metrics/details").mkdir(exist_ok=True, parents=True)
pathlib.Path("metrics/details/shift.json").write_text(json.dumps(views))
checks = {"split": "test", "baselines": {"hog_logistic": auroc(0.7)}}
pathlib.Path("metrics/details/checks.json").write_text(json.dumps(checks))
pathlib.Path("metrics/metrics.json").write_text(json.dumps({"test": {"auroc": seed / 10 - crop / 20, "films": None}}))
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository as the current folder; the file returned lists the seeds that were trained."""
    root, told = tmp_path / "repository", tmp_path / "told"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("TOLD", str(told))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # dvc.yaml: `python`
    for name, value in (("GIT_AUTHOR", "t"), ("GIT_COMMITTER", "t")):
        monkeypatch.setenv(f"{name}_NAME", value)
        monkeypatch.setenv(f"{name}_EMAIL", "t@example.org")
    Path("dvc.yaml").write_text(PIPELINE)
    Path("train.py").write_text(STAGE)
    Path("params.yaml").write_text("train:\n  lr: 0.1\n  region: none\n  seed: 3\n")
    subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    Path(".dvc/config").write_text("[core]\n    analytics = false\n")
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-q", "-m", "first"], check=True)
    return told
