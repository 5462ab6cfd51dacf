"""tools.seeds over a toy pipeline whose metric is its seed."""

import json
from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from cxr.report.experiments import settings_key
from tools import seeds


def test_seeds_are_summarised_and_an_interrupted_call_resumes(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "4")
    with pytest.raises(CxrError, match=r"experiment seed-\w+-4: the run failed"):
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
    key = settings_key(params, pipeline)
    assert settings_key({"train": {"lr": 0.1, "seed": 4}}, pipeline) == key
    assert settings_key({"train": {"lr": 0.2, "seed": 3}}, pipeline) != key
    Path("train.py").write_text(Path("train.py").read_text() + "# edited\n")
    assert settings_key(params, pipeline) != key


def test_one_seed_has_no_spread(told: Path) -> None:
    with pytest.raises(CxrError, match="two seeds or more"):
        seeds.main(["--count", "1"])
