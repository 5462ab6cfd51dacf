"""The real train stage, through DVC, in a job: the same outs as here."""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from dvc.cli import main as dvc
from ruamel.yaml import YAML

from cxr.aws.container import checkpoints
from cxr.core.errors import CxrError
from tests.aws import stand_ins
from tests.aws.control_plane import ControlPlane
from tests.aws.job import Job
from tests.aws.project import OUTS, Project


def lock(project: Project) -> Any:
    return YAML(typ="safe").load((project.folder / "dvc.lock").read_text())["stages"]["train"]


def repro(project: Project, backend: str) -> tuple[dict[str, bytes], Any]:
    """`dvc repro` of the train stage from nothing; its outs and its part of dvc.lock."""
    project.set_backend(backend)
    (project.folder / "dvc.lock").unlink(missing_ok=True)
    for name in OUTS:
        (project.folder / name).unlink(missing_ok=True)
    assert dvc(["repro", "--single-item", "--force", "train"]) == 0
    return project.outs(), lock(project)


@pytest.fixture
def repository(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project as a Git and DVC repository, the current folder."""
    monkeypatch.chdir(project.folder)
    beside = Path(sys.executable).parent  # dvc.yaml says `python`
    monkeypatch.setenv("PATH", f"{beside}{os.pathsep}{os.environ['PATH']}")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run(["git", *who, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    assert dvc(["init", "-q"]) == 0
    return project


@pytest.mark.journey
def test_dvc_repro_leaves_the_same_outs_and_lock_in_a_job_as_here(
    repository: Project, plane: ControlPlane, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handed_off, lock_of_job = repro(repository, "sagemaker")
    told = capfd.readouterr().err
    for words in ("Downloading", "Training", "Completed", "epoch 1: train loss"):
        assert words in told
    (request,) = plane.created()
    (data,) = [dep["md5"] for dep in lock_of_job["deps"] if dep["path"] == "data/shards"]
    assert f"/shards/{data.removesuffix('.dir')}/train.manifest" in str(request["InputDataConfig"])

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in the job
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    trained_here, lock_of_here = repro(repository, "local")
    imported = capfd.readouterr().err
    assert "cxr.train.train" in imported
    assert not re.search(r"\| +(sagemaker|boto3|cxr\.launch)", imported), "a local run imports the AWS SDK"
    assert trained_here == handed_off
    assert lock_of_here == lock_of_job
    assert len(plane.created()) == 1


@pytest.mark.journey
def test_a_spot_job_interrupted_in_an_epoch_gives_the_weights_of_an_undisturbed_run(
    project: Project, plane: ControlPlane
) -> None:
    shutil.copy(project.folder / "stages" / "train.py", project.folder / "stages" / "real_train.py")
    slow_down(project)
    project.set_train(epochs=4)
    project.set_sagemaker(spot=True, max_wait_hours=1)
    watcher = threading.Thread(target=interrupt_in_second_epoch, args=(plane,), daemon=True)
    watcher.start()
    project.hand_off()
    (job,) = plane.jobs.values()
    assert job.runs == 2
    assert "Interrupted" in [step["Status"] for step in job.transitions]
    told = "".join(path.read_text() for path in job.log_files().values())
    assert re.search(r"resuming run \w+ from epoch [1-3], batch \d", told)
    resumed = project.outs()
    shutil.rmtree(project.folder / "models")

    shutil.copy(project.folder / "stages" / "real_train.py", project.folder / "stages" / "train.py")
    project.train_here()
    assert project.outs() == resumed


def slow_down(project: Project) -> None:
    """Batches long enough to be interrupted, and state that is looked at more often than they end."""
    module = project.folder / "cxr" / "aws" / "container" / "checkpoints.py"
    module.write_text(module.read_text().replace("CHECK_S = 2.0", "CHECK_S = 0.1"))
    (project.folder / "stages" / "train.py").write_text(stand_ins.SLOW)
    deps = (project.folder / "dvc.yaml").read_text()
    (project.folder / "dvc.yaml").write_text(
        deps.replace("- stages/train.py", "- stages/train.py\n    - stages/real_train.py", 1)
    )


def interrupt_in_second_epoch(plane: ControlPlane) -> None:
    """Wait until the second epoch has begun and its state is on S3, then take the instance away."""
    while not plane.jobs:
        time.sleep(0.05)
    (job,) = plane.jobs.values()
    while not second_epoch_is_safe(job):
        time.sleep(0.05)
    job.interrupt()


def second_epoch_is_safe(job: Job) -> bool:
    """S3 holds a state that is younger than the classifier of the first epoch beside it."""
    for found in filter(None, map(checkpoints.parse, job.checkpoints())):
        with tarfile.open(fileobj=io.BytesIO(found[1])) as tar:
            ages = {member.name.rsplit("/", 1)[-1]: member.mtime for member in tar if member.isfile()}
        first = [age for name, age in ages.items() if name.endswith("-0.ckpt")]
        if first and ages.get("resume.ckpt", 0) > first[0]:
            return True
    return False


@pytest.mark.journey
def test_a_gpu_instance_without_a_visible_gpu_fails_in_one_line(project: Project, plane: ControlPlane) -> None:
    project.set_sagemaker(instance_type="ml.g5.xlarge")
    with pytest.raises(CxrError, match=r"Failed: error: compute\.yaml: accelerator: gpu: no CUDA device") as caught:
        project.hand_off()
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_stopped_job_resumes_in_the_next_attempt(project: Project, plane: ControlPlane) -> None:
    shutil.copy(project.folder / "stages" / "train.py", project.folder / "stages" / "real_train.py")
    slow_down(project)
    project.set_train(epochs=3)

    def stop() -> None:
        while not any("epoch 0: train" in path.read_text() for job in plane.jobs.values() for path in files(job)):
            time.sleep(0.05)
        next(iter(plane.jobs.values())).stop()

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(CxrError, match="Stopped"):
        project.hand_off()
    project.hand_off()
    first, second = plane.jobs.values()
    assert "SIGTERM: saved at epoch 1" in "".join(path.read_text() for path in files(first))
    assert "resuming run" in "".join(path.read_text() for path in files(second))


def files(job: Job) -> list[Path]:
    return list(job.log_files().values())


@pytest.mark.slow
def test_two_instances_train_together(project: Project, plane: ControlPlane) -> None:
    project.set_sagemaker(instance_count=2)
    project.hand_off()
    (job,) = plane.jobs.values()
    assert job.hosts == ["algo-1", "algo-2"]
    logs = {name.split("/")[1][:6]: path.read_text() for name, path in job.log_files().items()}
    assert "epoch 1: train loss" in logs["algo-1"]
    assert "epoch" not in logs["algo-2"]
    assert project.outs()["models/history.csv"].count(b"\n") == 3


@pytest.mark.slow
def test_the_submitter_logs_to_mlflow_after_the_download(
    project: Project, plane: ControlPlane, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    project.stand_in(stand_ins.QUICK)
    project.hand_off()
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("cxr-pneumonia")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    (request,) = plane.created()
    assert run.data.tags["sagemaker_job"] == request["TrainingJobName"]
    assert run.data.metrics["train_loss"] == 0.5
    assert run.data.params["lr"] == request["HyperParameters"]["lr"]
    assert "MLFLOW_TRACKING_URI" not in request["Environment"]

    project.hand_off()  # which only fetches
    assert len(client.search_runs([experiment.experiment_id])) == 1
    client.set_terminated(run.info.run_id, "RUNNING")  # as when the connection broke before the end
    project.hand_off()
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 1
