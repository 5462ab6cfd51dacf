import logging
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from cxr.core.errors import CxrError
from cxr.train.tracking import CurveFiles, MLflowRun
from testing.mlflow_server import mlflow_serving
from tests.train.conftest import Run

ROWS = [
    {"epoch": 0, "lr": 1e-3, "train_loss": 0.7, "val_auroc": 0.6},
    {"epoch": 1, "lr": 1e-4, "train_loss": 0.5, "val_auroc": 0.8},
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_curves_are_dvclive_series_and_leave_the_repository_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    curves = CurveFiles(tmp_path / "history.csv", tmp_path / "curves")
    curves.log(ROWS[:1])
    curves.log(ROWS)
    curves.close()
    series = pd.read_csv(tmp_path / "curves" / "plots" / "metrics" / "val" / "auroc.tsv", sep="\t")
    assert series.columns.tolist() == ["step", "auroc"]
    assert series["auroc"].tolist() == [0.6, 0.8]
    assert pd.read_csv(tmp_path / "history.csv")["train_loss"].tolist() == [0.7, 0.5]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves", "history.csv"]


def test_a_repository_without_a_commit_is_a_one_line_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    with pytest.raises(CxrError, match=r"curves: DVCLive: Empty git repo; make a first commit"):
        CurveFiles(Path("history.csv"), Path("curves"))


def test_a_resumed_run_writes_its_earlier_epochs_again(tmp_path: Path) -> None:
    for rows in (ROWS[:1], ROWS):  # a process that is killed after the first epoch, and the one that goes on
        curves = CurveFiles(tmp_path / "history.csv", tmp_path / "curves")
        curves.log(rows)
    series = pd.read_csv(tmp_path / "curves" / "plots" / "metrics" / "train" / "loss.tsv", sep="\t")
    assert series["step"].tolist() == [0, 1]


def test_a_dead_mlflow_server_warns_once_and_training_goes_on(
    new_run: Callable[[str], Run], whole: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    with caplog.at_level(logging.WARNING):
        run = new_run("lonely")()
    assert sum("MLflow" in record.message for record in caplog.records) == 1
    assert run.weights == whole.weights


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    with mlflow_serving(tmp_path) as url:
        yield url


@pytest.mark.slow
def test_a_run_and_its_resumption_are_one_mlflow_run(
    tmp_path: Path, mlflow_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "chest")
    killed = MLflowRun(tmp_path, {"lr": 1e-3}, {"git_rev": "abc"})
    killed.log(ROWS[:1])
    artefact = tmp_path / "history.csv"
    artefact.write_text("epoch\n0\n")
    resumed = MLflowRun(tmp_path, {"lr": 1e-3}, {"git_rev": "abc"})
    resumed.log(ROWS)
    resumed.close([artefact])

    client = MlflowClient(mlflow_server)
    experiment = client.get_experiment_by_name("chest")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params == {"lr": "0.001"}
    assert run.data.tags["git_rev"] == "abc"
    assert run.info.status == "FINISHED"
    assert [point.value for point in client.get_metric_history(run.info.run_id, "val_auroc")] == [0.6, 0.8]
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["history.csv"]
