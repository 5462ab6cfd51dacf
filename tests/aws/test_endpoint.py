"""A bundle on SageMaker, against a double that checks every request and starts the real service."""

import functools
import io
import json
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import cv2
import pytest

from cxr.__main__ import main
from cxr.aws.endpoint import PAYLOAD_MB, Bundle, Target, open_bundle, registry_requests, requests
from cxr.aws.resources import MODEL
from cxr.aws.serving import Deployment
from cxr.core.errors import CxrError
from tests.aws import service_model
from tests.aws.serving_plane import SERVICE, ServingPlane
from tests.bundles import ROOT, Project, make_project
from tests.conftest import phantom

IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/cxr-serve:1"
ROLE = "arn:aws:iam::123456789012:role/cxr-endpoint"


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
        assert service_model.fault(SERVICE, operation, request) is None, operation
    assert sent["CreateModel"]["EnableNetworkIsolation"] is (kind != "serverless")
    assert sent["CreateModel"]["PrimaryContainer"]["Environment"] == {"CXR_PLATFORM": "sagemaker"}
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
    assert [operation for operation, _ in serving.calls].count("CreateEndpoint") == 1


@pytest.mark.parametrize("what", ["by name", "all"])
def test_deployments_are_listed_by_tag_and_deleted_without_a_bundle_or_an_image(
    serving: ServingPlane, bundle: Bundle, bucket: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name = Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film())
    other = {"ModelName": "cxr-pneumonia-of-others", "PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": ROLE}
    boto3.client("sagemaker", region_name="eu-central-1").create_model(**other)
    main(["deploy", "--list"])
    assert capsys.readouterr().out.splitlines()[0] == f"endpoint {name} (InService)"
    main(["deploy", "--delete", name if what == "by name" else "all"])
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["endpoint", "endpoint", "model"]
    assert (serving.endpoints, serving.configs, [*serving.models]) == ({}, {}, ["cxr-pneumonia-of-others"])
    with pytest.raises(CxrError, match=r"cxr-pneumonia-of-others: no resource of that name has the tag"):
        main(["deploy", "--delete", "cxr-pneumonia-of-others"])


def test_transform_jobs_are_listed_with_their_states_and_are_left_alone_by_a_deletion(
    serving: ServingPlane, bundle: Bundle, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    serving.by_hand = True
    run = functools.partial(transform, bundle, bucket)
    end(serving, run, "Completed")
    with pytest.raises(CxrError, match="out of memory"):
        end(serving, functools.partial(run, prefix="other/"), "Failed", Reason="out of memory")
    main(["deploy", "--list"])
    listed = capsys.readouterr().out.splitlines()
    first, second = serving.transforms
    assert listed[-2:] == [f"transform job {first} (Completed)", f"transform job {second} (Failed)"]
    with pytest.raises(CxrError, match=f"{first}: a transform job, which AWS keeps and does not bill"):
        main(["deploy", "--delete", first])
    main(["deploy", "--delete", "all"])
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["model"]
    assert len(serving.transforms) == 2


def test_a_serverless_endpoint_has_a_model_of_its_own_without_network_isolation(
    serving: ServingPlane, bundle: Bundle, bucket: str
) -> None:
    deployment = Deployment(bundle, target(bucket, "serverless"), poll_seconds=0.2)
    deployment.deploy(film())
    transform(bundle, bucket)
    assert sorted(model["EnableNetworkIsolation"] for model in serving.models.values()) == [False, True]


def test_error_codes_decide_and_not_their_texts(
    serving: ServingPlane, bundle: Bundle, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.speaks = False
    deployment = Deployment(bundle, target(bucket), poll_seconds=0.2)
    deployment.register(b"{}")
    deployment.register(b"{}")
    create = requests(bundle, target(bucket))["CreateModel"]
    assert deployment.account.create(MODEL, create)
    assert not deployment.account.create(MODEL, create)
    answers = iter([None, {}])  # another call creates the model between the question and the request
    monkeypatch.setattr(deployment.account, "describe", lambda *_: next(answers))
    assert not deployment.account.create(MODEL, create)
    assert deployment.account.delete(MODEL, create["ModelName"])
    assert not deployment.account.delete(MODEL, create["ModelName"])


def test_what_a_failed_deployment_made_is_deleted_again(
    serving: ServingPlane, bundle: Bundle, bucket: str, tmp_path: Path
) -> None:
    broken = tmp_path / "model.tar.gz"
    with tarfile.open(broken, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("nothing"), io.BytesIO())
    damaged = open_bundle(broken, bundle_folder(bundle))
    with pytest.raises(CxrError, match=r"Failed: The primary container did not pass"):
        Deployment(damaged, target(bucket), poll_seconds=0.2).deploy(film())
    assert not serving.endpoints
    assert not serving.configs
    assert not serving.models


def test_ctrl_c_while_an_endpoint_is_created_waits_for_its_end_and_deletes_it_before_its_configuration(
    serving: ServingPlane, bundle: Bundle, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = Deployment(bundle, target(bucket), poll_seconds=0.2)
    settled, interrupts = deployment.account.settled, [KeyboardInterrupt]

    def interrupted_once(*arguments: Any) -> Any:
        if interrupts and serving.endpoints:
            raise interrupts.pop()
        return settled(*arguments)

    monkeypatch.setattr(deployment.account, "settled", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        deployment.deploy(film())
    assert not serving.endpoints
    assert not serving.configs
    assert not serving.models
    deleted = [operation for operation, _ in serving.calls if operation.startswith("Delete")]
    assert deleted == ["DeleteEndpoint", "DeleteEndpointConfig", "DeleteModel"]


def test_a_changed_setting_updates_the_endpoint_and_leaves_nothing_of_the_former(
    serving: ServingPlane, bundle: Bundle, bucket: str
) -> None:
    name = Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film())
    former = {*serving.models, *serving.configs}
    changed = replace(target(bucket, instance_type="ml.c6i.xlarge"), image=f"{IMAGE}-b", role=f"{ROLE}-b")
    deployment = Deployment(bundle, changed, poll_seconds=0.2)
    assert deployment.deploy(film()) == name
    assert [operation for operation, _ in serving.calls].count("CreateEndpoint") == 1
    (model,), (config,) = serving.models.values(), serving.configs.values()
    assert (model["PrimaryContainer"]["Image"], model["ExecutionRoleArn"]) == (f"{IMAGE}-b", f"{ROLE}-b")
    assert config["ProductionVariants"][0]["InstanceType"] == "ml.c6i.xlarge"
    assert not former & {*serving.models, *serving.configs}


@pytest.mark.parametrize("fault", ["of the service", "of the test"])
def test_an_update_that_fails_leaves_the_endpoint_as_it_was(
    serving: ServingPlane, bundle: Bundle, bucket: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film())
    before = [{**things} for things in (serving.models, serving.configs)]
    configuration = next(iter(serving.endpoints.values()))["EndpointConfigName"]
    if fault == "of the service":
        monkeypatch.setattr(serving, "_run_container", lambda *_: 1 / 0)
    sent = film() if fault == "of the service" else b"no film"
    with pytest.raises(CxrError, match=r"the update failed|cannot be decoded"):
        Deployment(bundle, target(bucket, instance_type="ml.c6i.xlarge"), poll_seconds=0.2).deploy(sent)
    (endpoint,) = serving.endpoints.values()
    assert (endpoint["Status"], endpoint["EndpointConfigName"]) == ("InService", configuration)
    assert [serving.models, serving.configs] == before


def test_an_endpoint_of_another_kind_is_left_alone_and_the_difference_is_named(
    serving: ServingPlane, bundle: Bundle, bucket: str
) -> None:
    Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film())
    calls = len(serving.calls)
    with pytest.raises(CxrError, match=r"is realtime, and cannot become serverless; .* --delete cxr-pneumonia-"):
        Deployment(bundle, target(bucket, "serverless"), poll_seconds=0.2).deploy(film())
    assert all(operation.startswith("Describe") for operation, _ in serving.calls[calls:])


def test_a_failed_endpoint_is_replaced(serving: ServingPlane, bundle: Bundle, bucket: str) -> None:
    name = Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film())
    serving.endpoints[name] |= {"Status": "Failed", "Reason": "no capacity"}
    assert Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film()) == name
    assert serving.endpoints[name]["Status"] == "InService"


def test_an_image_whose_manifest_is_an_oci_index_is_refused_and_nothing_remains(
    serving: ServingPlane, bundle: Bundle, bucket: str
) -> None:
    serving.manifests[IMAGE] = "application/vnd.oci.image.index.v1+json"
    with pytest.raises(CxrError, match=r"Unsupported manifest media type application/vnd.oci.image.index"):
        Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film())
    assert not serving.models


@pytest.mark.parametrize(("kind", "use"), [("realtime", "endpoint"), ("transform", "transform job")])
def test_a_quota_of_zero_is_told_before_anything_is_sent(
    serving: ServingPlane, bundle: Bundle, bucket: str, s3: Any, kind: str, use: str
) -> None:
    serving.quotas[f"ml.c6i.large for {use} usage"] = 0
    deployment = Deployment(bundle, target(bucket, kind, films_url="s3://films/new/"), poll_seconds=0.2)
    with pytest.raises(CxrError, match=rf"ml.c6i.large for {use} usage: 0, and 1 needed; .* --desired-value 1"):
        deployment.deploy(film())
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert not serving.models


def test_neither_a_serverless_endpoint_nor_an_unchanged_one_needs_a_quota(
    serving: ServingPlane, bundle: Bundle, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film())
    serving.quotas.clear()
    assert Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film()) == name
    main(["deploy", "--delete", name])
    assert Deployment(bundle, target(bucket, "serverless"), poll_seconds=0.2).deploy(film()) == name
    assert "quotas" not in caplog.text


@pytest.mark.parametrize("region", ["cn-north-1", "us-gov-west-1"])
@pytest.mark.parametrize("option", ["--serverless", "--register"])
def test_china_and_govcloud_are_an_error_before_any_request(
    serving: ServingPlane,
    packed: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    region: str,
    option: str,
) -> None:
    monkeypatch.setenv("AWS_REGION", region)
    settings = ["--bundle", str(packed.bundle), "--image", IMAGE, "--role", ROLE, "--bucket", "films"]
    with pytest.raises(CxrError, match=rf"AWS: {region} belongs to AWS's partition aws-"):
        main(["deploy", *settings, option])
    dry_run(packed, "films")
    assert f"{region} belongs to AWS's partition aws-" in capsys.readouterr().err
    assert serving.calls == []


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


def transform(bundle: Bundle, bucket: str, again: bool = False, prefix: str = "new/", **values: Any) -> str:
    where = target(bucket, "transform", films_url=f"s3://{bucket}/{prefix}", **values)
    return Deployment(bundle, where, poll_seconds=0.1).deploy(b"", again)


def test_a_batch_transform_writes_one_prediction_per_film_below_the_prefix(
    serving: ServingPlane, bundle: Bundle, bucket: str, s3: Any
) -> None:
    large = film() + bytes(40_000_000)  # more than the service takes of others
    for name, content in {"a.png": film(), "large.png": large, "notes.txt": b"no film", "": b""}.items():
        s3.put_object(Bucket=bucket, Key=f"new/{name}", Body=content)
    place = transform(bundle, bucket)
    (request,) = [request for operation, request in serving.calls if operation == "CreateTransformJob"]
    assert request["MaxPayloadInMB"] == 100
    folder = place.removeprefix(f"s3://{bucket}/")
    answers = {
        name: s3.get_object(Bucket=bucket, Key=f"{folder}{name}.out") for name in ("a.png", "large.png", "notes.txt")
    }
    assert all("decision" in json.loads(answers[name]["Body"].read()) for name in ("a.png", "large.png"))
    assert "cannot be decoded" in json.loads(answers["notes.txt"]["Body"].read())["rejected"]


def test_a_film_over_the_payload_limit_fails_the_transform_with_the_reason(
    serving: ServingPlane, bundle: Bundle, bucket: str, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PAYLOAD_MB, "transform", 1)
    s3.put_object(Bucket=bucket, Key="new/large.dcm", Body=bytes(2**20 + 1))
    with pytest.raises(CxrError, match=r"Failed: ClientError: new/large.dcm: Max payload size exceeded: 1 MB"):
        transform(bundle, bucket)
    assert not serving.models


def test_each_input_and_each_attempt_of_a_transform_is_a_job_with_an_output_of_its_own(
    serving: ServingPlane, bundle: Bundle, bucket: str
) -> None:
    serving.by_hand = True
    deploy = functools.partial(transform, bundle, bucket)
    ended = [end(serving, deploy, "Completed"), end(serving, functools.partial(deploy, prefix="other/"), "Completed")]
    assert deploy() == ended[0], "a completed job is reported"
    ended.append(end(serving, functools.partial(deploy, again=True), "Completed"))
    with pytest.raises(CxrError, match=r"-1: Failed: out of memory; the same command starts the next attempt"):
        end(serving, functools.partial(deploy, prefix="third/"), "Failed", Reason="out of memory")
    ended.append(end(serving, functools.partial(deploy, prefix="third/"), "Completed"))
    assert [place.rstrip("/").rsplit("-", 1)[1] for place in ended] == ["1", "1", "2", "2"]
    assert len({*ended}) == 4
    assert len(serving.transforms) == 5


def test_the_same_transform_attaches_to_the_running_job(serving: ServingPlane, bundle: Bundle, bucket: str) -> None:
    serving.by_hand = True
    run = functools.partial(transform, bundle, bucket)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(run)
        wait_for(lambda: serving.transforms)
        second = pool.submit(run)
        wait_for(lambda: [operation for operation, _ in serving.calls].count("DescribeTransformJob") > 6)
        (job,) = serving.transforms.values()
        job["Status"] = "Completed"
        assert first.result(30) == second.result(30)


def test_another_jobs_success_is_not_taken(serving: ServingPlane, bundle: Bundle, bucket: str) -> None:
    serving.by_hand = True
    end(serving, functools.partial(transform, bundle, bucket), "Completed")
    (job,) = serving.transforms.values()
    job["TransformInput"] = {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://other/films/"}}}
    with pytest.raises(CxrError, match="has other films or another model"):
        transform(bundle, bucket)


def test_ctrl_c_stops_the_transform_that_this_call_started_and_deletes_its_model(
    serving: ServingPlane, bundle: Bundle, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving.by_hand = True
    waits = iter([KeyboardInterrupt])

    def interrupted(_: float) -> None:
        raise next(waits)

    monkeypatch.setattr("cxr.aws.resources.time.sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        transform(bundle, bucket)
    assert [job["Status"] for job in serving.transforms.values()] == ["Stopped"]
    assert not serving.models


def end(serving: ServingPlane, run: Callable[[], str], status: str, **facts: str) -> str:
    """Let a job begin, then end it."""
    before = len(serving.transforms)
    with ThreadPoolExecutor() as pool:
        result = pool.submit(run)
        wait_for(lambda: len(serving.transforms) > before or result.done())
        list(serving.transforms.values())[-1].update(Status=status, **facts)
        return result.result(30)


def wait_for(happened: Callable[[], object]) -> None:
    limit = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < limit
        time.sleep(0.02)


def dry_run(packed: Project, bucket: str, *options: str) -> None:
    settings = ["--bundle", str(packed.bundle), "--image", IMAGE, "--role", ROLE, "--bucket", f"{bucket}/team"]
    main(["deploy", *settings, "--dry-run", *options])


def test_a_dry_run_prints_the_requests_and_says_what_exists_what_would_change_and_how_to_remove_it(
    serving: ServingPlane, packed: Project, bundle: Bundle, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dry_run(packed, bucket, "--serverless")
    printed = capsys.readouterr()
    sent, name = json.loads(printed.out), bundle.name
    assert list(sent) == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    assert sent["CreateModel"]["ModelName"].startswith(name), "as the stage packed it"
    assert printed.err.splitlines()[-3:] == [
        f"exists: no endpoint {name}",
        "would create a model, a configuration and the endpoint",
        f"to remove it: python -m cxr deploy --delete {name}",
    ]
    assert all(operation.startswith("Describe") for operation, _ in serving.calls)
    Deployment(bundle, target(bucket), poll_seconds=0.2).deploy(film())
    calls = len(serving.calls)
    dry_run(packed, bucket)
    assert "would change nothing" in capsys.readouterr().err
    dry_run(packed, bucket, "--instance-type", "ml.c6i.xlarge")
    text = capsys.readouterr().err
    assert f"exists: endpoint {name}, InService" in text
    assert "would change: instance type: ml.c6i.large -> ml.c6i.xlarge" in text
    dry_run(packed, bucket, "--register")
    printed = capsys.readouterr()
    assert list(json.loads(printed.out))[-1] == "CreateModelPackage"
    assert "exists: no group cxr-pneumonia of the model registry" in printed.err
    assert "would create the group and another entry" in printed.err
    assert "to remove it: aws sagemaker delete-model-package" in printed.err
    assert all(operation.startswith("Describe") for operation, _ in serving.calls[calls:])


def test_a_dry_run_of_a_transform_says_what_exists_what_would_start_and_how_to_remove_it(
    serving: ServingPlane, packed: Project, bundle: Bundle, bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*options: str) -> list[str]:
        dry_run(packed, bucket, "--transform", f"s3://{bucket}/new/", *options)
        return capsys.readouterr().err.splitlines()[-3:]

    assert told()[:2] == ["exists: no such transform job", "would start attempt 1"]
    assert serving.transforms == {}
    serving.by_hand = True
    end(serving, functools.partial(transform, bundle, bucket), "Completed")
    ((name, job),) = serving.transforms.items()
    exists, would, remove = told()
    assert (exists, would) == (f"exists: transform job {name}, Completed", "would report its predictions")
    output = job["TransformOutput"]["S3OutputPath"]
    assert remove.startswith(f"to remove it: python -m cxr deploy --delete {job['ModelName']}, and aws s3 rm")
    assert f"--recursive {output};" in remove
    assert told("--again")[1] == "would start attempt 2"


def test_a_dry_run_needs_no_sign_in(
    serving: ServingPlane, packed: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    dry_run(packed, "films")
    printed = capsys.readouterr()
    assert list(json.loads(printed.out)) == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    assert "what exists is not known" in printed.err
    assert serving.calls == []


def test_everything_that_is_missing_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CXR_SERVING_IMAGE", "CXR_ENDPOINT_ROLE", "CXR_SAGEMAKER_BUCKET"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CxrError, match=r"missing: --image .*, --role .*, --bucket"):
        main(["deploy"])
