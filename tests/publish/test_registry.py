"""What `publish` says before it asks MLflow: targets, servers, a dry run."""

from pathlib import Path

import pytest

from cxr.__main__ import main
from cxr.core.errors import CxrError
from cxr.publish import registry
from cxr.publish.facts import BundleFacts
from cxr.train import tracking
from tests.bundles import Project


def test_the_experiment_is_that_of_training() -> None:
    assert registry.EXPERIMENT == tracking.EXPERIMENT


def refused(project: Project, target: str, message: str) -> None:
    with pytest.raises(CxrError, match=message) as caught:
        main(["publish", str(project.bundle), target])
    assert len(str(caught.value).splitlines()) == 1


def test_a_server_that_is_down_is_one_line(project: Project, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    refused(project, "mlflow:chest", r"127\.0\.0\.1:9: no MLflow server \(.*\); start it, or correct MLFLOW")
    assert list(workspace.iterdir()) == []


def test_no_server_is_one_line(project: Project, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    refused(project, "mlflow:chest", "MLFLOW_TRACKING_URI is not set")
    assert list(workspace.iterdir()) == []


@pytest.mark.parametrize("target", ["mlflow:", "mlflow:a/b", "mlflow:a'b"])
def test_a_wrong_name_is_one_line(project: Project, target: str) -> None:
    refused(project, target, f"{target}: not a model name; use letters, digits, - and _")


def test_a_dry_run_prints_metrics_and_digests_and_asks_nobody(
    project: Project, facts: BundleFacts, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["publish", str(project.bundle), "mlflow:chest", "--dry-run"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"bundle {facts.version}"
    assert "metric test_auroc: 0.5 [0.3, 0.7]" in lines
    assert f"data training data: {'d' * 32}" in lines
