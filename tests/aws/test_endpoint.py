"""A bundle on SageMaker, against a double that checks every request and starts the real service."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import cv2
import pytest

from cxr.__main__ import main
from cxr.aws.endpoint import Bundle, Target, open_bundle, registry_requests, requests
from cxr.aws.serving import Deployment
from cxr.core.errors import CxrError
from tests.aws import service_model
from tests.aws.serving_plane import MODEL, ServingPlane
from tests.bundles import ROOT, Project, make_project
from tests.conftest import phantom

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/cxr-serve:1"
ROLE = "arn:aws:iam::123456789012:role/cxr-endpoint"


@pytest.fixture
def serving(tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServingPlane]:
    (tmp_path / "plane").mkdir()
    plane = ServingPlane(tmp_path / "plane", s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", plane.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", plane.url)
    yield plane
    plane.close()


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("packed"))


@pytest.fixture
def bundle(packed: Project) -> Bundle:
    return open_bundle(packed.archive, packed.bundle)


def target(bucket: str, kind: Any = "realtime", **values: Any) -> Target:
    return Target(kind, IMAGE, ROLE, f"s3://{bucket}/team/", **values)


def film() -> bytes:
    ok, png = cv2.imencode(".png", phantom(3, 640, 512)[0])
    assert ok
    return png.tobytes()


@pytest.mark.parametrize("kind", ["realtime", "serverless", "transform"])
def test_every_request_is_one_that_the_service_takes(bundle: Bundle, kind: str) -> None:
    where = target("films", kind, films_url="s3://films/new/")
    sent = requests(bundle, where) | registry_requests(bundle, where, "s3://films/metrics.json")
    for operation, request in sent.items():
        assert service_model.fault(MODEL, operation, request) is None, operation
    assert sent["CreateModel"]["EnableNetworkIsolation"]
    assert sent["CreateModelPackage"]["ModelApprovalStatus"] == "PendingManualApproval"


def test_an_endpoint_is_in_service_after_it_answered_about_a_film(
    serving: ServingPlane, bundle: Bundle, bucket: str
) -> None:
    deployment = Deployment(bundle, target(bucket), poll_seconds=0.2)
    name = deployment.deploy(film())
    assert name == bundle.name
    reply = boto3.client("sagemaker-runtime", region_name="eu-central-1").invoke_endpoint(
        EndpointName=name, Body=film(), ContentType="application/octet-stream"
    )
    answer = json.loads(reply["Body"].read())
    assert answer["note"].startswith("Research use only")
    assert Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film()) == name, "a second call finds the first"
    assert [operation for operation, _ in serving.calls].count("CreateEndpoint") == 2
    assert len(deployment.delete()) == 3
    assert not serving.endpoints
    assert not serving.configs
    assert not serving.models
    assert deployment.delete() == []


def test_what_a_failed_deployment_made_is_deleted_again(
    serving: ServingPlane, bundle: Bundle, bucket: str, tmp_path: Path
) -> None:
    broken = tmp_path / "model.tar.gz"
    with tarfile.open(broken, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("nothing"), io.BytesIO())
    damaged = open_bundle(broken, bundle_folder(bundle))
    with pytest.raises(CxrError, match="The primary container did not pass"):
        Deployment(damaged, target(bucket), poll_seconds=0.2).deploy(film())
    assert not serving.endpoints
    assert not serving.configs
    assert not serving.models


def bundle_folder(bundle: Bundle) -> Path:
    return bundle.archive.parent / "bundle"


def test_a_bundle_is_registered_to_be_approved_by_a_person(serving: ServingPlane, bundle: Bundle, bucket: str) -> None:
    deployment = Deployment(bundle, target(bucket))
    assert deployment.register(b'{"auroc": 0.9}').endswith("/cxr-pneumonia/1")
    assert deployment.register(b'{"auroc": 0.9}').endswith("/cxr-pneumonia/2"), "the group is there already"
    entry = serving.packages[0]
    assert entry["ModelApprovalStatus"] == "PendingManualApproval"
    assert entry["CustomerMetadataProperties"]["bundle_md5"] == bundle.md5


def test_the_registry_tells_what_the_shipped_bundle_was_trained_on(bundle: Bundle) -> None:
    provenance = json.loads((ROOT / "models/chest_xray/provenance.json").read_text(encoding="utf-8"))
    sent = registry_requests(replace(bundle, provenance=provenance), target("films"), "s3://films/metrics.json")
    assert sent["CreateModelPackage"]["CustomerMetadataProperties"] == {
        "classifier": provenance["classifier"],
        "training_data": provenance["training"]["data"],
        "training_code": provenance["training"]["code"],
        "bundle_md5": bundle.md5,
    }
    with pytest.raises(CxrError, match=r"provenance.json of cxr-pneumonia-.*: no 'training'"):
        registry_requests(replace(bundle, provenance={}), target("films"), "s3://films/metrics.json")


def test_a_batch_transform_takes_films_that_are_too_large_for_an_endpoint(
    serving: ServingPlane, bundle: Bundle, bucket: str
) -> None:
    where = target(bucket, "transform", films_url=f"s3://{bucket}/new/")
    assert Deployment(bundle, where, poll_seconds=0.2).deploy(b"") == bundle.name
    request = serving.transforms[bundle.name]
    assert request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] == f"s3://{bucket}/new/"
    assert request["MaxPayloadInMB"] == 100


def test_a_dry_run_prints_the_requests_and_sends_nothing(
    serving: ServingPlane, packed: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    main(
        [
            "deploy",
            "--bundle",
            str(packed.bundle),
            "--image",
            IMAGE,
            "--role",
            ROLE,
            "--bucket",
            "films",
            "--serverless",
            "--dry-run",
        ]
    )
    sent = json.loads(capsys.readouterr().out)
    assert list(sent) == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    assert sent["CreateModel"]["ModelName"] == open_bundle(packed.archive, packed.bundle).name, "as the stage packed it"
    assert serving.calls == []


def test_everything_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CXR_SERVING_IMAGE", "CXR_ENDPOINT_ROLE", "CXR_SAGEMAKER_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CxrError, match=r"missing: --image .*, --role .*, --bucket"):
        main(["deploy"])
