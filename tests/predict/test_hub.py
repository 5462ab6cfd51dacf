"""Bundles on the Hugging Face Hub: downloaded, verified, and read from the cache without a network."""

import logging
import shutil
from pathlib import Path

import pytest

from cxr.core.errors import CxrError
from cxr.predict.hub import bundle_folder
from cxr.predict.predictor import Predictor
from testing.hub_server import Commit, LocalHub, Repository
from tests.bundles import Project

ADDRESS = "hf://lab/chest"


@pytest.fixture
def published(project: Project, hub: LocalHub) -> Commit:
    """The bundle in a repository, beside a card."""
    files = {path.relative_to(project.bundle): path for path in project.bundle.rglob("*") if path.is_file()}
    content = {f"bundle/{name.as_posix()}": path.read_bytes() for name, path in files.items()}
    commit = Commit({"README.md": b"# Card", **content}, [])
    hub.repositories["lab/chest"] = Repository(private=False)
    hub.repositories["lab/chest"].commits.append(commit)
    return commit


def go_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")


def refused(address: str, message: str) -> None:
    with pytest.raises(CxrError, match=message) as caught:
        bundle_folder(address)
    assert len(str(caught.value).splitlines()) == 1


def test_a_bundle_of_the_hub_is_the_same_as_its_folder(project: Project, published: Commit, tmp_path: Path) -> None:
    predictor, local = Predictor.load(ADDRESS), Predictor.load(project.bundle)
    assert predictor.version == local.version
    film = next((project.root / "films/test").rglob("*.png"))
    assert predictor(film).logits == local(film).logits
    snapshot = tmp_path / "hub/models--lab--chest/snapshots" / published.sha
    assert [path.name for path in snapshot.iterdir()] == ["bundle"]  # the card is not needed
    assert (tmp_path / "hub/models--lab--chest/refs/main").read_text() == published.sha


def test_without_the_hub_the_cached_copy_is_used_and_a_warning_says_so(
    published: Commit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = bundle_folder(ADDRESS)
    go_offline(monkeypatch)
    with caplog.at_level(logging.WARNING):
        assert bundle_folder(ADDRESS) == folder
    assert "http://127.0.0.1:9 cannot be reached: the copy of lab/chest in the cache may be old" in caplog.text


def test_offline_mode_reads_the_cache(published: Commit, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bundle_folder(ADDRESS)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert bundle_folder(ADDRESS) == folder


def test_a_commit_in_the_cache_needs_no_request(published: Commit, hub: LocalHub) -> None:
    folder = bundle_folder(f"{ADDRESS}@{published.sha}")
    hub.requests.clear()
    assert bundle_folder(f"{ADDRESS}@{published.sha}") == folder
    assert hub.requests == []


def test_a_new_commit_is_downloaded_and_the_old_one_stays(published: Commit, hub: LocalHub) -> None:
    before = bundle_folder(ADDRESS)
    repository = hub.repositories["lab/chest"]
    repository.commits.append(Commit({**published.files, "README.md": b"# New"}, []))
    after = bundle_folder(ADDRESS)
    assert after.parent.name == repository.commits[-1].sha
    assert bundle_folder(f"{ADDRESS}@{published.sha}") == before != after


def test_without_hub_and_copy_the_message_names_the_remedy(published: Commit, monkeypatch: pytest.MonkeyPatch) -> None:
    go_offline(monkeypatch)
    refused(ADDRESS, r"http://127.0.0.1:9 cannot be reached, and .*hub holds no complete copy; connect once, .*folder")


def test_half_a_copy_is_not_used(published: Commit, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = bundle_folder(ADDRESS)
    (folder / "classifier.onnx").unlink()
    go_offline(monkeypatch)
    refused(ADDRESS, "holds no complete copy")


def test_an_altered_copy_is_not_used(published: Commit) -> None:
    card = bundle_folder(ADDRESS) / "model_card.md"
    card.resolve().write_text("better metrics", encoding="utf-8")
    refused(ADDRESS, r"model_card\.md: altered, .*; fetch the bundle again, after deleting .*models--lab--chest$")
    shutil.rmtree(card.parents[3])
    bundle_folder(ADDRESS)


def test_a_bundle_that_was_altered_on_the_hub_is_not_loaded(published: Commit) -> None:
    published.files["bundle/model_card.md"] = b"better metrics"
    with pytest.raises(CxrError, match=r"model_card\.md: altered"):
        Predictor.load(ADDRESS)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://lab/none", "hf://lab/none: no such repository at http.*, or no access; correct the name"),
        (f"{ADDRESS}@v9", "hf://lab/chest@v9: the repository has no such revision"),
        ("hf://lab/chest/bundle", "not a model repository; expected hf://owner/name"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line(published: Commit, address: str, message: str) -> None:
    refused(address, message)


def test_a_repository_without_a_bundle_is_one_line(hub: LocalHub) -> None:
    hub.repositories["lab/other"] = Repository(private=False)
    refused("hf://lab/other", r"hf://lab/other: no bundle in this repository \(bundle/SHA256SUMS is missing\)")
