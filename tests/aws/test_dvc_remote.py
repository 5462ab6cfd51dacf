"""DVC with its data on S3: the remote, a clone on another machine, films imported from a bucket."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiobotocore.client import AioBaseClient
from dvc.cli import main as dvc

from testing.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFS
from tests.aws.test_policies import Policy, needed

ROOT = Path(__file__).parents[2]
Dvc = Callable[..., None]


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, s3: Any, bucket: str, seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Git and DVC repository whose remote was set by `make remote`."""
    # s3fs keeps connections of the event loop; each test starts without those of the one before.
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")  # the remote's own setting must do
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    monkeypatch.chdir(folder)
    run("init", "-q")
    shutil.copy(ROOT / "Makefile", folder)
    shutil.copy(ROOT / "requirements.txt", folder)
    (folder / ".venv").mkdir()
    (folder / ".venv" / ".installed").touch()
    subprocess.run(["make", "remote", f"URL=s3://{bucket}/dvc", f"ENDPOINT={seaweed.url}"], cwd=folder, check=True)
    return folder


def run(*arguments: str) -> None:
    assert dvc(list(arguments)) == 0, f"dvc {' '.join(arguments)}"


def test_data_pushed_on_one_machine_is_pulled_on_another(
    project: Path, tmp_path: Path, npz_set: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(npz_set, project / "npz")
    run("add", "-q", "npz")
    run("push", "-q")
    git(project, "add", "-A", ":!.venv")
    git(project, "commit", "-qm", "films")
    git(tmp_path, "clone", "-q", str(project), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    run("pull", "-q")
    films = sorted(path.relative_to(npz_set) for path in npz_set.rglob("*.npz"))
    assert films
    show = ["git", "show", "HEAD:.dvc/config"]
    committed = subprocess.run(show, cwd=project, check=True, capture_output=True, text=True).stdout
    assert "s3://" in committed
    assert ACCESS_KEY not in committed
    assert SECRET_KEY not in committed
    for film in films:
        assert (tmp_path / "clone" / "npz" / film).read_bytes() == (npz_set / film).read_bytes()


def test_films_imported_from_a_bucket_change_on_update(
    project: Path, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, seaweed: SeaweedFS
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", seaweed.url)
    for name in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=f"x-ray-v2/train/NORMAL/{name}.png", Body=name.encode())
    (project / "data" / "raw").mkdir(parents=True)
    run("import-url", "-q", f"s3://{bucket}/x-ray-v2", "data/raw/x-ray-v2")
    normal = project / "data" / "raw" / "x-ray-v2" / "train" / "NORMAL"
    assert sorted(path.name for path in normal.iterdir()) == ["a.png", "b.png"]
    s3.put_object(Bucket=bucket, Key="x-ray-v2/train/NORMAL/c.png", Body=b"c")
    run("update", "-q", "data/raw/x-ray-v2.dvc")
    assert sorted(path.name for path in normal.iterdir()) == ["a.png", "b.png", "c.png"]


@pytest.fixture
def versioned(project: Path, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch, seaweed: SeaweedFS) -> Path:
    """The repository beside a bucket with versions and two films."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", seaweed.url)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for name in ("a", "b"):
        s3.put_object(Bucket=bucket, Key=f"x-ray-v2/train/NORMAL/{name}.png", Body=name.encode())
    (project / "data" / "raw").mkdir(parents=True)
    return project


def test_films_imported_with_their_versions_are_stored_once_and_pulled_from_where_they_lie(
    versioned: Path, s3: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, str]] = []
    make = AioBaseClient._make_api_call

    async def recording(self: Any, operation: str, request: dict[str, Any]) -> Any:
        calls.extend(needed("s3", operation, request))
        return await make(self, operation, request)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", recording)
    run("import-url", "-q", "--version-aware", f"s3://{bucket}/x-ray-v2", "data/raw/x-ray-v2")
    run("push", "-q")
    assert [entry["Key"][:9] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["x-ray-v2/"] * 2
    git(versioned, "add", "-A", ":!.venv")
    git(versioned, "commit", "-qm", "films")
    s3.put_object(Bucket=bucket, Key="x-ray-v2/train/NORMAL/a.png", Body=b"changed")
    s3.delete_object(Bucket=bucket, Key="x-ray-v2/train/NORMAL/b.png")
    git(tmp_path, "clone", "-q", str(versioned), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    run("pull", "-q")
    normal = Path("data/raw/x-ray-v2/train/NORMAL")
    assert {path.name: path.read_bytes() for path in normal.iterdir()} == {"a.png": b"a", "b.png": b"b"}
    run("update", "-q", "data/raw/x-ray-v2.dvc")
    assert {path.name: path.read_bytes() for path in normal.iterdir()} == {"a.png": b"changed"}
    made = {action for action, _ in calls}
    assert made >= {"s3:ListBucketVersions", "s3:GetObjectVersion"}
    submitter = Policy("submitter-policy", bucket)
    assert [call for call in calls if not submitter.allows(*call)] == []


def test_a_cloud_versioned_remote_keeps_the_names_of_files_and_lists_each_in_place_of_the_hash(
    versioned: Path, s3: Any, bucket: str
) -> None:
    run("remote", "modify", "storage", "version_aware", "true")
    folder = versioned / "npz"
    folder.mkdir()
    for name, content in (("a.npz", "same"), ("b.npz", "same")):
        (folder / name).write_text(content)
    run("add", "-q", "npz")
    run("push", "-q")
    kept = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="dvc/")["Contents"]]
    assert kept == ["dvc/npz/a.npz", "dvc/npz/b.npz"]
    (out,) = yaml.safe_load((versioned / "npz.dvc").read_text())["outs"]
    assert "md5" not in out
    assert [file["cloud"]["storage"]["version_id"] is not None for file in out["files"]] == [True, True]
    assert dvc(["push", "-q", "--all-commits"]) != 0


def test_make_remote_without_an_address_prints_its_usage() -> None:
    result = subprocess.run(
        ["make", "-o", ".venv/.installed", "remote", "URL="], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode != 0
    assert "error: URL is missing; make remote URL=s3://bucket/prefix" in result.stderr
