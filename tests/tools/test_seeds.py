"""tools.seeds over a toy pipeline whose metric is its seed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from tools import seeds

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
"""
STAGE = """
import json, os, pathlib, re
seed = int(re.search(r"seed: (\\d+)", pathlib.Path("params.yaml").read_text())[1])
with open(os.environ["TOLD"], "a") as told: print(seed, file=told)
assert seed != int(os.environ.get("BROKEN", -1))
pathlib.Path("metrics").mkdir(exist_ok=True)
pathlib.Path("metrics/metrics.json").write_text(json.dumps({"test": {"auroc": seed / 10, "films": None}}))
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
    Path("params.yaml").write_text("train:\n  lr: 0.1\n  seed: 3\n")
    subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], check=True)
    Path(".dvc/config").write_text("[core]\n    analytics = false\n")
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", "commit", "-q", "-m", "first"], check=True)
    return told


def test_seeds_are_summarised_and_an_interrupted_call_resumes(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "4")
    with pytest.raises(CxrError, match="seed 4: the run failed"):
        seeds.main(["--count", "3"])
    assert told.read_text().split() == ["3", "4"]
    monkeypatch.delenv("BROKEN")
    seeds.main(["--count", "3"])
    assert told.read_text().split() == ["3", "4", "4", "5"]
    found = json.loads(seeds.SEEDS.read_text())
    assert found["figures"] == {"test.auroc": {"mean": 0.4, "sd": 0.1, "min": 0.3, "max": 0.5}}
    assert found["seeds"]["5"] == {"test.auroc": 0.5}
    assert Path("params.yaml").read_text().endswith("seed: 3\n")


def test_other_settings_and_other_code_are_other_runs(told: Path) -> None:
    pipeline = {"stages": {"train": {"deps": ["train.py"]}}}
    params = {"train": {"lr": 0.1, "seed": 3}}
    key = seeds.settings_key(params, pipeline)
    assert seeds.settings_key({"train": {"lr": 0.1, "seed": 4}}, pipeline) == key
    assert seeds.settings_key({"train": {"lr": 0.2, "seed": 3}}, pipeline) != key
    Path("train.py").write_text(STAGE + "# edited\n")
    assert seeds.settings_key(params, pipeline) != key


def test_one_seed_has_no_spread(told: Path) -> None:
    with pytest.raises(CxrError, match="two seeds or more"):
        seeds.main(["--count", "1"])
