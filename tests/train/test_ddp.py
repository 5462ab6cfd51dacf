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
from tests.settings import augmentation, machine, section
from tests.train.conftest import Run, places_in, write_shards

ROOT = Path(__file__).parents[2]


def two_processes(folder: Path, settings: TrainSection) -> None:
    """The train stage in a folder of its own."""
    (folder / "params.yaml").write_text(yaml.safe_dump({"train": settings.model_dump()}))
    (folder / "compute.yaml").write_text(yaml.safe_dump(machine(accelerator="cpu", devices=2).model_dump()))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("DVC_ROOT", None)
    done = subprocess.run(
        [sys.executable, "-m", "stages.train"], cwd=folder, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr


def test_two_processes_score_as_one(tmp_path: Path) -> None:
    shards = write_shards(tmp_path / "data")
    # Layer instead of batch normalisation, no dropout and no noise: then processes should change nothing at all.
    recipe = {"dropout": 0, "epochs": 2, "min_steps": 0, "warmup": 0, "batch": 4, "lr": 1e-3}
    exact = {"amp": "off", "portable": False}  # fp32, on one thread each
    augment = augmentation(noise=0.0, jpeg=0.0)  # JPEG steps make the last digit of a sum visible
    settings = section(
        TrainSection, backbone="test_vit", weights="none", augment=augment.model_dump(), **recipe, **exact
    )
    alone = Run(places_in(tmp_path / "one", shards), settings)()
    two_processes(tmp_path, settings)
    one, two = alone.history, pd.read_csv(tmp_path / "models" / "history.csv")
    assert len(one) == len(two) == 2
    for column in one.columns:
        assert two[column].tolist() == pytest.approx(one[column].tolist(), abs=2e-4), column
    first, second = (load_classifier(path) for path in (alone.places.checkpoint, tmp_path / "models/classifier.ckpt"))
    assert first.facts["films"] == second.facts["films"]
