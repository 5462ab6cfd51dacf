"""Two CPU processes, started as the train stage starts them on two GPUs."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cxr.models.classifier import load_classifier
from cxr.train.config import TrainSection
from tests.settings import machine, section
from tests.train.conftest import write_shards

ROOT = Path(__file__).parents[2]


def run_stage(folder: Path, devices: int) -> pd.DataFrame:
    """The train stage in a folder of its own; returns the history."""
    write_shards(folder / "data")
    # Layer instead of batch normalisation, no dropout and no noise: then processes should change nothing at all.
    recipe = {"dropout": 0, "epochs": 2, "min_steps": 0, "warmup": 0, "batch": 4, "lr": 1e-3, "portable": False}
    settings = section(TrainSection, backbone="test_vit", weights="none", **recipe)
    values = settings.model_dump()
    values["augment"] |= {"noise": 0.0, "jpeg": 0.0}  # JPEG steps make the last digit of a sum visible
    (folder / "params.yaml").write_text(yaml.safe_dump({"train": values}))
    (folder / "compute.yaml").write_text(yaml.safe_dump(machine(accelerator="cpu", devices=devices).model_dump()))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("DVC_ROOT", None)
    done = subprocess.run(
        [sys.executable, "-m", "stages.train"], cwd=folder, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return pd.read_csv(folder / "models" / "history.csv")


def test_two_processes_score_as_one(tmp_path: Path) -> None:
    one, two = run_stage(tmp_path / "one", 1), run_stage(tmp_path / "two", 2)
    assert len(one) == len(two) == 2
    for column in one.columns:
        assert two[column].tolist() == pytest.approx(one[column].tolist(), abs=2e-4), column
    first, second = (load_classifier(tmp_path / name / "models" / "classifier.ckpt") for name in ("one", "two"))
    assert first.facts["films"] == second.facts["films"]
