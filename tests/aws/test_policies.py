"""The documented policies allow every call that a hand-off makes, and no more than that."""

import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import cv2
import pytest
from botocore.client import BaseClient
from moto.iam.access_control import IAMPolicy, PermissionResult

from cxr.__main__ import main
from tests.aws import stand_ins
from tests.aws.control_plane import ControlPlane
from tests.aws.job import ACCOUNT, LOG_GROUP
from tests.aws.project import ROLE, Project
from tests.aws.serving_plane import ServingPlane
from tests.bundles import make_project
from tests.conftest import phantom

POLICIES = Path(__file__).parents[2] / "docs" / "aws"
REGION = "eu-central-1"
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
_S3 = {"HeadBucket": "ListBucket", "ListObjectsV2": "ListBucket", "HeadObject": "GetObject"}
_S3 |= {"ListMultipartUploads": "ListBucketMultipartUploads", "ListObjectVersions": "ListBucketVersions"}
_S3 |= dict.fromkeys(("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"), "PutObject")


def filled_in(name: str, bucket: str) -> str:
    """A documented policy after the `sed` command of docs/aws.md, with values of ours in the place of its examples."""
    guide = (POLICIES.parent / "aws.md").read_text()
    script = re.search(r'sed "(s/BUCKET/.*?)"', guide).group(1)
    ours = {
        "my-bucket": bucket,
        "eu-central-1": REGION,
        "$ACCOUNT": ACCOUNT,
        "cxr-training-job": ROLE.rsplit("/", 1)[1],
        "$KEY": KEY,
    }
    for example, value in ours.items():
        assert example in script
        script = script.replace(example, value.replace("/", "\\/"))
    command = ["sed", script, str(POLICIES / f"{name}.json")]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


class Policy:
    """One of the documented policies, with its placeholders filled in."""

    def __init__(self, name: str, bucket: str, namespace: str = LOG_GROUP) -> None:
        self.namespace = namespace
        self._policy = IAMPolicy({"policy_document": filled_in(name, bucket)})

    def allows(self, action: str, resource: str) -> bool:
        context = {"iam:PassedToService": "sagemaker.amazonaws.com", "aws:SourceAccount": ACCOUNT}
        context |= {"cloudwatch:namespace": self.namespace}
        decision = self._policy.is_action_permitted(action, resource, incoming_condition_values=context)
        return decision is PermissionResult.PERMITTED


def with_key(action: str, resource: str) -> list[tuple[str, str]]:
    """An S3 call, and what it needs of the key with which the bucket encrypts."""
    needs = {"s3:PutObject": "kms:GenerateDataKey"} | dict.fromkeys(
        ("s3:GetObject", "s3:GetObjectVersion"), "kms:Decrypt"
    )
    key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY}"
    return [(action, resource), *([(needs[action], key)] if action in needs else [])]


def needed(service: str, operation: str, request: dict[str, Any]) -> list[tuple[str, str]]:
    """IAM actions and resources of an API call (Service Authorization Reference)."""
    if service == "s3":
        resource = f"arn:aws:s3:::{request['Bucket']}" + (f"/{request['Key']}" if "Key" in request else "")
        version = "Version" if "VersionId" in request else ""
        return with_key(f"s3:{_S3.get(operation, operation)}{version}", resource)
    if service == "logs":
        stream = f":log-stream:{request['logStreamName']}" if "logStreamName" in request else ":log-stream:"
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{request['logGroupName']}"
        return [(f"logs:{operation}", group + stream)]
    if service == "service-quotas":
        return [(f"servicequotas:{operation}", "*")]
    if service == "ecr":
        return [
            (f"ecr:{operation}", f"arn:aws:ecr:{REGION}:{request['registryId']}:repository/{request['repositoryName']}")
        ]
    if operation.startswith("List") and operation != "ListTags":
        return [(f"sagemaker:{operation}", "*")]
    if "ResourceArn" in request:
        return [(f"sagemaker:{operation}", request["ResourceArn"])]
    calls = [(f"sagemaker:{operation}", _arn(member, request[member])) for member in _KINDS if member in request]
    if operation.startswith("Create"):
        calls += [("sagemaker:AddTags", calls[0][1])]
    roles = [request[name] for name in ("RoleArn", "ExecutionRoleArn") if name in request]
    return calls + [("iam:PassRole", role) for role in roles]


# Member of a request that names a resource -> the resource's kind in its ARN.
_KINDS = {
    "TrainingJobName": "training-job",
    "TransformJobName": "transform-job",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
    "ModelPackageGroupName": "model-package-group",
}


def _arn(member: str, name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{_KINDS[member]}/{name}"


@pytest.fixture
def calls(s3: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the submitter's clients ask for, as IAM sees it."""
    recorded: list[tuple[str, str]] = []
    make, lock = BaseClient._make_api_call, threading.Lock()

    def recording(self: Any, operation: str, request: dict[str, Any]) -> Any:
        if self is not s3:  # that one stands for the roles
            with lock:
                recorded.extend(needed(self.meta.service_model.service_name, operation, request))
        return make(self, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", recording)
    return recorded


def test_the_policies_allow_every_call_of_a_hand_off(
    project: Project, plane: ControlPlane, bucket: str, calls: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in ("LARGE", "PART"):
        monkeypatch.setattr(f"cxr.aws.s3.{limit}", 1000)  # bytes, so that shards go up in parts
    project.stand_in(stand_ins.CHECKPOINT + stand_ins.QUICK)
    project.set_sagemaker(bucket=bucket)
    project.hand_off()
    submitter, role = Policy("submitter-policy", bucket), Policy("job-role-policy", bucket)
    assert {action for action, _ in calls} >= {"s3:PutObject", "s3:GetObject", "s3:ListBucket", "iam:PassRole"}
    assert "s3:ListBucketMultipartUploads" in dict(calls)
    calls.append(("s3:AbortMultipartUpload", f"arn:aws:s3:::{bucket}/shards/a.npy"))  # after an interruption
    assert [call for call in calls if not submitter.allows(*call)] == []
    (job,) = plane.jobs.values()
    made = [call for action, resource in job.role_calls for call in with_key(action, f"arn:aws:s3:::{resource}")]
    assert {action for action, _ in made} >= {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "kms:Decrypt"}
    assert [call for call in made if not role.allows(*call)] == []


@pytest.mark.journey
def test_every_call_of_a_deployment_is_allowed(
    tmp_path: Path, serving: ServingPlane, bucket: str, calls: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the role that docs/aws.md creates, from its own variable."""
    monkeypatch.setenv("CXR_ENDPOINT_ROLE", f"arn:aws:iam::{ACCOUNT}:role/cxr-endpoint")
    monkeypatch.setenv("CXR_SAGEMAKER_BUCKET", bucket)
    monkeypatch.setenv("CXR_SERVING_IMAGE", f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/cxr-serve:1")
    monkeypatch.delenv("CXR_SAGEMAKER_ROLE", raising=False)
    bundle, film = make_project(tmp_path).bundle, tmp_path / "film.png"
    cv2.imwrite(str(film), phantom(3, 640, 512)[0])
    metrics = tmp_path / "metrics.json"
    metrics.write_text("{}")
    main(["deploy", "--bundle", str(bundle), "--film", str(film)])
    main(["deploy", "--bundle", str(bundle), "--register", "--metrics", str(metrics)])
    made = {action for action, _ in calls}
    assert made >= {"sagemaker:CreateEndpoint", "sagemaker:InvokeEndpoint", "iam:PassRole", "kms:GenerateDataKey"}
    assert "servicequotas:ListServiceQuotas" in made
    deployer = Policy("deployer-policy", bucket)
    assert [call for call in calls if not deployer.allows(*call)] == []


@pytest.mark.parametrize("namespace", ["/aws/sagemaker/Endpoints", "/aws/sagemaker/TransformJobs"])
def test_an_endpoint_may_read_its_bundle_and_a_transform_films_and_both_write_metrics(namespace: str) -> None:
    role = Policy("endpoint-role-policy", "films", namespace)
    objects = {"GetObject": ("bundles/a/model.tar.gz", "films/a.dcm"), "PutObject": ("transform/job/a.dcm.out",)}
    calls = [
        call
        for action, keys in objects.items()
        for key in keys
        for call in with_key(f"s3:{action}", f"arn:aws:s3:::films/{key}")
    ]
    calls.append(("cloudwatch:PutMetricData", "*"))
    assert [call for call in calls if not role.allows(*call)] == []


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("UpdateEndpoint", {"EndpointName": "cxr-pneumonia-a", "EndpointConfigName": "cxr-pneumonia-a-realtime"}),
        ("DescribeEndpointConfig", {"EndpointConfigName": "cxr-pneumonia-a"}),
        ("DescribeModel", {"ModelName": "cxr-pneumonia-a"}),
        ("DescribeModelPackageGroup", {"ModelPackageGroupName": "cxr-pneumonia"}),
        ("StopTransformJob", {"TransformJobName": "cxr-pneumonia-a-1"}),
        ("DeleteEndpoint", {"EndpointName": "cxr-pneumonia-a"}),
        ("DeleteEndpointConfig", {"EndpointConfigName": "cxr-pneumonia-a"}),
        ("DeleteModel", {"ModelName": "cxr-pneumonia-a"}),
        ("ListEndpoints", {}),
        ("ListEndpointConfigs", {}),
        ("ListModels", {}),
        ("ListTransformJobs", {}),
        ("ListTags", {"ResourceArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/cxr-pneumonia-a"}),
        ("ListTags", {"ResourceArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:transform-job/cxr-pneumonia-a-1"}),
    ],
)
def test_a_deployer_may_change_list_and_delete_deployments(operation: str, request_: dict[str, str]) -> None:
    deployer = Policy("deployer-policy", "films")
    assert [call for call in needed("sagemaker", operation, request_) if not deployer.allows(*call)] == []


def test_the_submitter_may_log_to_a_tracking_server() -> None:
    server = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:mlflow-tracking-server/team"
    for action in ("AccessUI", "CreateRun", "LogBatch", "SearchRuns"):
        assert Policy("submitter-policy", "films").allows(f"sagemaker-mlflow:{action}", server)


@pytest.mark.parametrize(
    ("policy", "action", "resource"),
    [
        ("submitter-policy", "s3:PutObject", "arn:aws:s3:::films/x-ray-v2/train/a.png"),
        ("submitter-policy", "s3:GetObject", "arn:aws:s3:::other/npz/a.npz"),
        ("submitter-policy", "s3:DeleteObject", "arn:aws:s3:::films/npz/a.npz"),
        ("submitter-policy", "sagemaker:CreateTrainingJob", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/other"),
        ("submitter-policy", "iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/administrator"),
        ("deployer-policy", "sagemaker:DeleteEndpoint", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/other"),
        ("deployer-policy", "iam:PassRole", ROLE),
        ("deployer-policy", "kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/another"),
        ("endpoint-role-policy", "s3:PutObject", "arn:aws:s3:::films/bundles/a/model.tar.gz"),
        ("endpoint-role-policy", "cloudwatch:PutMetricData", "*"),  # in the namespace of training jobs
        ("job-role-policy", "s3:PutObject", "arn:aws:s3:::films/shards/a.npy"),
        ("job-role-policy", "s3:GetObject", "arn:aws:s3:::films/npz/a/train/a.npz"),
        ("job-role-policy", "s3:DeleteObject", "arn:aws:s3:::films/sagemaker-checkpoints/a/state-a"),
        ("job-role-policy", "s3:GetObject", "arn:aws:s3:::films/x-ray-v2/train/a.png"),
        ("job-role-policy", "sagemaker:CreateTrainingJob", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/cxr-a"),
    ],
)
def test_a_call_outside_the_policy_is_denied(policy: str, action: str, resource: str) -> None:
    assert not Policy(policy, "films").allows(action, resource)
