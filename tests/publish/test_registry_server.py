"""A bundle on an MLflow server: one version, its metrics and data, the rows that it predicts, alone and when served."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cxr.__main__ import main
from cxr.core.errors import CxrError
from cxr.publish import registry
from cxr.publish.facts import BundleFacts, data_digests
from cxr.publish.registry import publish_to_mlflow
from cxr.train.tracking import MLflowRun
from tests.bundles import Project

NAME = "chest"
pytestmark = pytest.mark.journey  # a server, and models that are logged and loaded


@pytest.fixture
def experiment(mlflow_server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The server in the environment, and an experiment of the test's own."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    return str(request.node.name)


@pytest.fixture(scope="module")
def published(mlflow_server: str, project: Project, facts: BundleFacts) -> Iterator[Any]:
    """Training run and bundle on the server: (client, id of the training run, address of the version)."""
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", mlflow_server)
        environment.chdir(project.root)
        client = MlflowClient(mlflow_server)
        trained = training_run(project.root, facts)
        yield client, trained, publish_to_mlflow(facts, NAME)


def training_run(folder: Path, facts: BundleFacts, **changes: str) -> str:
    """A finished run as the train stage logs it; returns its id."""
    state = folder / "run"
    state.mkdir(exist_ok=True)
    params = {"lr": facts.provenance["train"]["lr"], "augment.flip": facts.provenance["train"]["augment"]["flip"]}
    run = MLflowRun(state, {**params, **changes}, {"data": facts.provenance["training"]["data"]})
    run.close([])
    (state / "mlflow_run").unlink()
    return run.run_id


def logged(client: Any) -> Any:
    """The logged model of version 1."""
    return client.get_logged_model(client.get_model_version(NAME, "1").source.removeprefix("models:/"))


def test_the_version_names_the_bundle_and_the_training_run(published: Any, facts: BundleFacts) -> None:
    client, trained, address = published
    assert address == f"models:/{NAME}/1"
    version = client.get_model_version(NAME, "1")
    assert version.tags["cxr_bundle"] == facts.version
    assert version.run_id == trained
    assert version.aliases == []  # people set them
    model = logged(client)
    assert (model.source_run_id, model.status) == (trained, "READY")
    assert model.params["threshold"] == str(facts.config.operating_point.threshold)


def test_metrics_have_intervals_and_data_have_digests(published: Any, facts: BundleFacts) -> None:
    client, trained, _ = published
    model = logged(client)
    assert {metric.key: metric.value for metric in model.metrics} == {
        "test_auroc": 0.5, "test_auroc_low": 0.3, "test_auroc_high": 0.7,
    }  # fmt: skip
    (run,) = client.search_runs([model.experiment_id], f"tags.`mlflow.parentRunId` = '{trained}'")
    datasets = {used.dataset.name: used.dataset.digest for used in run.inputs.dataset_inputs}
    assert datasets == data_digests(facts)


def test_the_model_needs_what_serving_needs_and_no_torch(published: Any, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    folder = Path(download_artifacts(published[2], dst_path=str(tmp_path)))
    needed = {line.partition("==")[0] for line in (folder / "requirements.txt").read_text().splitlines()}
    assert {"mlflow-skinny", "pandas", "onnxruntime"} <= needed
    assert not {"torch", "mlflow", "scikit-learn"} & needed
    assert not list(folder.rglob("*.pkl"))
    assert json.loads((folder / "input_example.json").read_text()) == ["film.dcm"]


def test_the_loaded_model_gives_the_rows_of_predict(
    published: Any, project: Project, films: list[str], tmp_path: Path
) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(published[2])
    table = model.predict(films)
    main(["predict", *films, "--bundle", str(project.bundle), "--out", str(tmp_path / "predictions.csv")])
    assert table.to_csv(index=False, lineterminator="\n") == (tmp_path / "predictions.csv").read_text(encoding="utf-8")
    assert len(table) == 3
    assert table["rejected"].tolist()[:2] == ["", ""]
    assert model.predict(pd.DataFrame({"film": films})).equals(table)


def test_publishing_again_logs_nothing(published: Any, project: Project, facts: BundleFacts) -> None:
    client, _, address = published
    experiment = logged(client).experiment_id
    before = len(client.search_runs([experiment]))
    assert publish_to_mlflow(facts, NAME) == address
    assert len(client.search_model_versions(f"name = '{NAME}'")) == 1
    assert publish_to_mlflow(facts, "other") == "models:/other/1"  # another name of the same logged model
    assert len(client.search_logged_models([experiment])) == 1
    assert len(client.search_runs([experiment])) == before


def test_only_a_run_with_the_same_data_and_settings_is_linked(
    experiment: str, facts: BundleFacts, tmp_path: Path
) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    training_run(tmp_path, facts, lr="1")
    other = client.get_experiment_by_name(experiment)
    assert other is not None
    assert registry.training_run(client, other.experiment_id, facts) == ""
    trained = training_run(tmp_path, facts)
    assert registry.training_run(client, other.experiment_id, facts) == trained
    elsewhere = replace(facts, provenance={**facts.provenance, "training": {"data": "e" * 32}})
    assert registry.training_run(client, other.experiment_id, elsewhere) == ""


def test_a_failure_while_logging_leaves_neither_model_nor_run(
    experiment: str, facts: BundleFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    def fail(*_: object) -> None:
        raise ConnectionError("connection lost")

    monkeypatch.setattr(registry, "_log_data_and_metrics", fail)
    monkeypatch.setattr(registry, "_log_model", lambda *_: None)
    with pytest.raises(CxrError, match=r"no MLflow server \(connection lost\); start it, or correct"):
        publish_to_mlflow(facts, "unlucky")
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    assert client.search_runs([found.experiment_id]) == []
    assert client.search_logged_models([found.experiment_id]) == []
    assert client.search_registered_models("name = 'unlucky'") == []


def test_a_served_model_answers_with_the_rows_of_predict(
    published: Any, project: Project, films: list[str], tmp_path: Path
) -> None:
    main(["predict", *films, "--bundle", str(project.bundle), "--out", str(tmp_path / "local.csv")])
    rows = pd.read_csv(tmp_path / "local.csv", keep_default_na=False)
    for row, expected in zip(served(published[2], films), rows.to_dict("records"), strict=True):
        assert {name: "" if value is None else str(value) for name, value in row.items()} == {
            str(name): str(value) for name, value in expected.items()
        }


def served(address: str, films: list[str]) -> list[dict[str, Any]]:
    """The answer of `mlflow models serve` for some films."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", address, "--env-manager", "local"]
    server = subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], start_new_session=True)
    try:
        deadline = time.monotonic() + 300
        while True:
            assert server.poll() is None
            assert time.monotonic() < deadline
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            json.dumps({"inputs": films}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as response:
            found: list[dict[str, Any]] = json.load(response)["predictions"]
        return found
    finally:
        os.killpg(server.pid, 15)
        server.wait()
