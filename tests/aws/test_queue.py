"""DVC's queue with `backend: sagemaker`: as many jobs at once as it has workers."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from tests.aws import stand_ins
from tests.aws.control_plane import ControlPlane
from tests.aws.job import Job
from tests.aws.project import Project

RATES = {"low": 0.001, "middle": 0.002, "high": 0.003}


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def repository(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The train stage alone, committed, with its shards in DVC; it hands off."""
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    for variable in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{variable}_NAME", "t")
        monkeypatch.setenv(f"{variable}_EMAIL", "t@example.org")
    shutil.copy("stages/train.py", "stages/real_train.py")
    Path("stages/train.py").write_text(stand_ins.HANDED_OFF)
    train = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]["train"]
    train["deps"] = [*(dep for dep in train["deps"] if not dep.startswith("models/")), "stages/real_train.py"]
    Path("dvc.yaml").write_text(yaml.dump({"stages": {"train": train}}))
    project.set_backend("sagemaker")
    for command in ("git init -q", "dvc init -q", "dvc add -q data/shards", "git add -A", "git commit -qm first"):
        run(*command.split())
    return project


@pytest.mark.slow
@pytest.mark.usefixtures("repository")
def test_three_workers_of_the_queue_run_three_jobs_at_once(
    plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, train = threading.Barrier(3), Job._train

    def train_together(self: Job, place: Path) -> int:
        together.wait(timeout=300)  # a job that is alone fails here
        return train(self, place)

    monkeypatch.setattr(Job, "_train", train_together)
    for name, rate in RATES.items():
        run("dvc", "exp", "run", "--queue", "-n", name, "-S", f"train.lr={rate}", "train")
    run("dvc", "queue", "start", "-j", "3")
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        rows = [line.split() for line in run("dvc", "queue", "status").splitlines()]
        ends = {row[1]: row[-1] for row in rows if len(row) > 1 and row[1] in RATES}
        if ends and set(ends.values()) <= {"Success", "Failed"}:
            break
        time.sleep(1)
    logs = "".join(run("dvc", "queue", "logs", name) for name in RATES)
    assert ends == dict.fromkeys(RATES, "Success"), logs
    assert sorted(request["HyperParameters"]["lr"] for request in plane.created()) == ["0.001", "0.002", "0.003"]
    assert {job.status for job in plane.jobs.values()} == {"Completed"}
