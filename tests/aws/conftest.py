"""A real S3 server (SeaweedFS), a control plane over HTTP, and a tiny NPZ set."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest

from testing.npz import write_npz_set
from testing.seaweed import ACCESS_KEY, SECRET_KEY, SeaweedFS
from tests.aws.control_plane import ControlPlane
from tests.aws.project import Project
from tests.aws.serving_plane import ServingPlane


@pytest.fixture(scope="session", autouse=True)
def service_models_are_read_once() -> Iterator[None]:
    """Each test makes sessions of its own; without this each would parse SageMaker's model anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", functools.cache(botocore.session.create_loader))
        yield


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    server = SeaweedFS(tmp_path_factory.mktemp("seaweed"))
    with server.running():
        yield server


@pytest.fixture
def s3(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A boto3 client of the server; the environment points every AWS tool there and at no real account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweed.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return boto3.client("s3")


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    """A bucket of its own for each test."""
    name = f"films-{abs(hash(request.node.nodeid)) % 10**10}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def npz_set(tmp_path: Path) -> Path:
    return write_npz_set(tmp_path / "data" / "npz")


@pytest.fixture
def plane(tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ControlPlane]:
    """The control plane, and an environment in which the AWS SDKs talk to it."""
    server = ControlPlane(tmp_path / "plane", s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", server.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", server.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_ECR", server.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", server.url)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield server
    server.close()


@pytest.fixture
def serving(tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServingPlane]:
    """The serving side, and an environment in which the AWS SDKs talk to it."""
    (tmp_path / "serving").mkdir()
    server = ServingPlane(tmp_path / "serving", s3)
    for service in ("SAGEMAKER", "SAGEMAKER_RUNTIME", "SERVICE_QUOTAS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", server.url)
    yield server
    server.close()


@pytest.fixture
def project(tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return Project(tmp_path / "project", bucket)
