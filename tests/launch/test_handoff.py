"""The train stage as a SageMaker job: the real SDK, a real S3 server, the real stage."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from cxr.core.compute import load_compute
from cxr.core.config import load_section
from cxr.launch.handoff import train_on_sagemaker
from cxr.training.config import TrainSection
from tests.launch.control_plane import ControlPlane
from tests.launch.films import write_npz_set

ROOT = Path(__file__).parents[2]
ROLE = "arn:aws:iam::123456789012:role/cxr-training-job"
OUTS = ("models/classifier.ckpt", "models/history.csv")


@pytest.fixture
def plane(tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    server = ControlPlane(tmp_path / "plane", s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", server.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", server.url)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield server
    server.close()


class Project:
    """A checkout with a tiny NPZ set and a tiny network."""

    def __init__(self, folder: Path, bucket: str) -> None:
        self.folder = folder
        for name in ("cxr", "stages"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("dvc.yaml", "params.yaml", "compute.yaml"):
            shutil.copy(ROOT / name, folder)
        write_npz_set(folder / "data" / "npz")
        self.set("params.yaml", "train", backbone="test_resnet", weights="none", batch=8, epochs=2, warmup=0.0)
        place = {"role": ROLE, "bucket": f"{bucket}/team", "image": "training-image", "instance_type": "ml.m5.xlarge"}
        self.set("compute.yaml", "sagemaker", **place, poll_seconds=0.2, wheels="none", max_hours=0.2)
        self.set("compute.yaml", None, backend="sagemaker")

    def set(self, file: str, section: str | None, **values: Any) -> None:
        yaml = YAML()
        document = yaml.load((self.folder / file).read_text())
        (document[section] if section else document).update(values)
        with (self.folder / file).open("w") as stream:
            yaml.dump(document, stream)

    def outs(self) -> dict[str, bytes]:
        return {name: (self.folder / name).read_bytes() for name in OUTS}

    def train(self) -> None:
        """The train stage's hand-off, in this process."""
        train = load_section("train", TrainSection, self.folder / "params.yaml")
        train_on_sagemaker(train, load_compute(self.folder / "compute.yaml").sagemaker, self.folder)

    def stage(self, *, local: bool = False) -> "subprocess.CompletedProcess[str]":
        """`python -m stages.train`, as DVC runs it."""
        self.set("compute.yaml", None, backend="local" if local else "sagemaker")
        command = [sys.executable, "-m", "stages.train"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return Project(tmp_path / "project", bucket)


def test_a_job_leaves_the_outs_of_a_local_run_and_is_not_paid_for_twice(
    project: Project, plane: ControlPlane, tmp_path: Path
) -> None:
    result = project.stage()
    assert result.returncode == 0, result.stderr
    handed_off = project.outs()
    for told in ("Downloading", "Training", "Completed", "epoch 1: train loss"):
        assert told in result.stderr
    assert project.stage(local=True).returncode == 0
    assert handed_off == project.outs()
    shutil.rmtree(project.folder / "models")
    again = project.stage()
    assert "attached to it" in again.stderr
    assert project.outs() == handed_off
    assert len(plane.created()) == 1
