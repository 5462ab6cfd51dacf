"""Two CPU processes, started as the train stage starts them on two GPUs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from cxr.models.classifier import load_classifier
from cxr.train.config import TrainSection
from tests.settings import augmentation, machine, section
from tests.train.conftest import Run, places_in, write_shards

ROOT = Path(__file__).parents[2]


def two_processes(folder: Path, settings: TrainSection) -> "subprocess.Popen[str]":
    """The train stage in a folder of its own."""
    (folder / "params.yaml").write_text(yaml.safe_dump({"train": settings.model_dump()}))
    (folder / "compute.yaml").write_text(yaml.safe_dump(machine(accelerator="cpu", devices=2).model_dump()))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    environment.pop("DVC_ROOT", None)
    return subprocess.Popen(
        [sys.executable, "-m", "stages.train"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )


def ended(process: "subprocess.Popen[str]", code: int = 0) -> str:
    """The log of a training that ends with an exit code."""
    log = process.communicate(timeout=500)[1]
    assert process.returncode == code, log
    return log


def other_process(process: "subprocess.Popen[str]") -> int:
    """The number of the process that a training started for its second device."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return next(int(child) for child in children if b"stages.train" in Path(f"/proc/{child}/cmdline").read_bytes())


@pytest.mark.journey
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
    ended(two_processes(tmp_path, settings))
    one, two = alone.history, pd.read_csv(tmp_path / "models" / "history.csv")
    assert len(one) == len(two) == 2
    for column in one.columns:
        assert two[column].tolist() == pytest.approx(one[column].tolist(), abs=2e-4), column
    first, second = (load_classifier(path) for path in (alone.places.checkpoint, tmp_path / "models/classifier.ckpt"))
    assert first.facts["films"] == second.facts["films"]


@pytest.mark.journey
@pytest.mark.parametrize("first", [True, False])
def test_sigterm_to_one_of_two_processes_saves_and_ends_both_and_the_run_resumes(tmp_path: Path, first: bool) -> None:
    """With batch normalisation, whose statistics each process collects from its own films."""
    augment = augmentation().model_dump()
    recipe = {"epochs": 8, "min_steps": 0, "warmup": 0, "batch": 4, "lr": 1e-3, "accumulate": 3}
    settings = section(TrainSection, backbone="test_resnet", weights="none", augment=augment, **recipe)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        write_shards(folder / "data")
    ended(two_processes(whole, settings))

    process = two_processes(broken, settings)
    while not list(broken.glob(".cache/train/runs/*/resume.ckpt")):
        assert process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid if first else other_process(process), signal.SIGTERM)
    assert "SIGTERM" in ended(process, 143)
    assert "resuming run" in ended(two_processes(broken, settings))
    for name in ("classifier.ckpt", "history.csv"):
        assert (broken / "models" / name).read_bytes() == (whole / "models" / name).read_bytes()
