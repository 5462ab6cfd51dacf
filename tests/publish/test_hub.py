"""A bundle as a model repository: its files, one commit of what changed, and one line for each mistake."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from safetensors import safe_open

from cxr.__main__ import main
from cxr.bundle.files import verify_sums
from cxr.core.errors import CxrError
from cxr.models.classifier import load_classifier
from cxr.publish.facts import BundleFacts
from cxr.publish.hub import publish_to_hub, write_repository
from testing.hub_server import LocalHub
from tests.bundles import ROOT, Project

NAME = "lab/chest"


def publish(project: Project, *options: str) -> None:
    main(["publish", str(project.bundle), f"hf://{NAME}", *options])


@pytest.fixture
def repository(project: Project, facts: BundleFacts, tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    write_repository(folder, facts, NAME, project.root / "models/classifier.ckpt")
    return folder


def test_a_repository_is_the_bundle_with_card_weights_and_checksums(
    project: Project, facts: BundleFacts, repository: Path
) -> None:
    assert {path.name for path in repository.iterdir()} == {"README.md", "SHA256SUMS", "bundle", "model.safetensors"}
    assert verify_sums(repository / "bundle") == facts.version
    verify_sums(repository)
    classifier = load_classifier(project.root / "models/classifier.ckpt")
    with safe_open(repository / "model.safetensors", "pt") as weights:
        assert json.loads(weights.metadata()["facts"]) == classifier.facts
        for name, tensor in classifier.state_dict().items():
            assert weights.get_tensor(name).equal(tensor)


def test_the_card_has_the_metrics_of_the_bundle_in_the_form_of_the_hub(facts: BundleFacts, repository: Path) -> None:
    card = ModelCard.load(repository / "README.md")
    assert card.data.license == "mit"
    assert "research-use-only" in card.data.tags
    results = {result.metric_name: result for result in card.data.eval_results}
    assert len(results) == len(facts.metrics)
    auroc = results["auroc (95 % CI 0.3 to 0.7)"]
    assert (auroc.metric_type, auroc.metric_value, auroc.dataset_split) == ("roc_auc", 0.5, "test")
    assert "Research use only" in card.text


def test_a_checkpoint_of_another_classifier_is_left_out(
    project: Project, facts: BundleFacts, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    other = replace(facts, provenance={**facts.provenance, "classifier": "0" * 32})
    write_repository(tmp_path, other, NAME, project.root / "models/classifier.ckpt")
    assert not (tmp_path / "model.safetensors").exists()
    assert "another classifier than the bundle's" in caplog.text


def test_publishing_is_one_commit_and_a_second_call_none(
    project: Project, hub: LocalHub, capsys: pytest.CaptureFixture[str], workspace: Path
) -> None:
    publish(project, "--private")
    repository = hub.repositories[NAME]
    assert repository.private
    assert len(repository.commits) == 2  # the first one is that of an empty repository
    assert capsys.readouterr().out == f"hf://{NAME}@{repository.commits[-1].sha}\n"
    assert repository.commits[-1].files["bundle/classifier.onnx"] == (project.bundle / "classifier.onnx").read_bytes()
    publish(project)
    assert len(repository.commits) == 2


def test_only_changed_files_are_in_the_second_commit(hub: LocalHub, repository: Path) -> None:
    publish_to_hub(repository, f"hf://{NAME}", "first", private=False)
    hub.repositories[NAME].commits[-1].files["picture.png"] = b"of the owner"
    (repository / "README.md").write_text("---\nlicense: mit\n---\nnew\n", encoding="utf-8")
    (repository / "model.safetensors").unlink()
    hub.requests.clear()
    publish_to_hub(repository, f"hf://{NAME}", "second", private=False)
    last = hub.repositories[NAME].commits[-1]
    assert sorted(last.changed) == ["README.md", "model.safetensors"]
    assert "model.safetensors" not in last.files
    assert last.files["picture.png"] == b"of the owner"
    assert not any(request.startswith("PUT") for request in hub.requests)


def test_a_dry_run_prints_files_and_card_and_asks_nobody(
    project: Project, hub: LocalHub, capsys: pytest.CaptureFixture[str], workspace: Path
) -> None:
    publish(project, "--dry-run")
    printed = capsys.readouterr().out
    assert "bundle/inference_config.yaml" in printed
    assert "model-index:" in printed
    assert hub.requests == []


def refused(project: Project, message: str, *options: str) -> None:
    with pytest.raises(CxrError, match=message) as caught:
        publish(project, *options)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_token_is_one_line_and_no_request(
    project: Project, hub: LocalHub, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    refused(project, "hf://lab/chest: no token for the Hugging Face Hub; `hf auth login`, or set HF_TOKEN")
    assert hub.requests == []


def test_a_token_that_the_hub_rejects_is_one_line(
    project: Project, hub: LocalHub, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    refused(project, r"answers 401 \(.*\); the token needs write access to it")
    assert hub.repositories == {}


def test_a_hub_that_cannot_be_reached_is_one_line(
    project: Project, hub: LocalHub, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    refused(project, r"http://127.0.0.1:9 cannot be reached \(ConnectError\)")


def test_a_failed_commit_leaves_the_repository_as_it_was(project: Project, hub: LocalHub, workspace: Path) -> None:
    hub.fault = 500
    refused(project, r"answers 500 \(.*out of order.*\); publish again")
    assert len(hub.repositories[NAME].commits) == 1


def test_private_does_not_go_into_a_public_repository(project: Project, hub: LocalHub, workspace: Path) -> None:
    publish(project)
    refused(project, "the repository is public; make it private", "--private")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("hf://chest", "hf://chest: not a model repository; expected hf://owner/name"),
        ("hf://datasets/lab/chest", "not a model repository"),
        ("hf://lab/chest@v1", "published to the main branch; omit @v1"),
        ("lab/chest", "lab/chest: expected mlflow:NAME, hf://owner/name or s3://bucket/prefix/"),
    ],
)
def test_a_wrong_target_is_one_line(project: Project, target: str, message: str) -> None:
    with pytest.raises(CxrError, match=message):
        main(["publish", str(project.bundle), target])


def test_an_option_of_another_target_is_one_line(project: Project) -> None:
    with pytest.raises(CxrError, match="mlflow:chest: --private does not apply to mlflow:"):
        main(["publish", str(project.bundle), "mlflow:chest", "--private"])


def test_a_damaged_bundle_is_not_published(project: Project, hub: LocalHub, tmp_path: Path) -> None:
    shutil.copytree(project.bundle, tmp_path / "bundle")
    (tmp_path / "bundle/model_card.md").write_text("better metrics", encoding="utf-8")
    with pytest.raises(CxrError, match=r"model_card\.md: altered"):
        main(["publish", str(tmp_path / "bundle"), f"hf://{NAME}"])
    assert hub.requests == []


@pytest.mark.journey
def test_what_is_published_predicts_like_the_folder_online_and_offline(
    project: Project, hub: LocalHub, films: list[str], tmp_path: Path
) -> None:
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1"}

    def cxr(*arguments: str, offline: str = "0") -> None:
        command = [sys.executable, "-m", "cxr", *arguments]
        subprocess.run(command, cwd=ROOT, env={**environment, "HF_HUB_OFFLINE": offline}, check=True)

    cxr("publish", str(project.bundle), f"hf://{NAME}")
    tables = {str(project.bundle): "0", f"hf://{NAME}": "0", f"hf://{NAME}@main": "1"}
    for number, (bundle, offline) in enumerate(tables.items()):
        cxr("predict", *films, "--bundle", bundle, "--out", str(tmp_path / f"{number}.csv"), offline=offline)
    assert len({(tmp_path / f"{number}.csv").read_bytes() for number in range(3)}) == 1
