"""The documented policies allow every call that a hand-off makes, and no more than that."""

import re
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from moto.iam.access_control import IAMPolicy, PermissionResult

from tests.aws import stand_ins
from tests.aws.control_plane import ControlPlane
from tests.aws.job import ACCOUNT, LOG_GROUP
from tests.aws.project import ROLE, Project

POLICIES = Path(__file__).parents[2] / "docs" / "aws"
REGION = "eu-central-1"
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"
_S3 = {"HeadBucket": "ListBucket", "ListObjectsV2": "ListBucket", "HeadObject": "GetObject"}
_S3 |= {"ListMultipartUploads": "ListBucketMultipartUploads"}
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

    def __init__(self, name: str, bucket: str) -> None:
        self._policy = IAMPolicy({"policy_document": filled_in(name, bucket)})

    def allows(self, action: str, resource: str) -> bool:
        context = {"iam:PassedToService": "sagemaker.amazonaws.com", "aws:SourceAccount": ACCOUNT}
        context |= {"cloudwatch:namespace": LOG_GROUP}
        decision = self._policy.is_action_permitted(action, resource, incoming_condition_values=context)
        return decision is PermissionResult.PERMITTED


def needed(service: str, operation: str, request: dict[str, Any]) -> list[tuple[str, str]]:
    """IAM actions and resources of an API call (Service Authorization Reference)."""
    if service == "s3":
        resource = f"arn:aws:s3:::{request['Bucket']}" + (f"/{request['Key']}" if "Key" in request else "")
        return [(f"s3:{_S3.get(operation, operation)}", resource)]
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
    job = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{request['TrainingJobName']}"
    calls = [(f"sagemaker:{operation}", job)]
    if operation == "CreateTrainingJob":
        calls += [("sagemaker:AddTags", job), ("iam:PassRole", request["RoleArn"])]
    return calls


@pytest.fixture
def calls(plane: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the submitter's clients ask for, as IAM sees it."""
    recorded: list[tuple[str, str]] = []
    make, lock = BaseClient._make_api_call, threading.Lock()

    def recording(self: Any, operation: str, request: dict[str, Any]) -> Any:
        if self is not plane.s3:  # that one stands for the job's role
            with lock:
                recorded.extend(needed(self.meta.service_model.service_name, operation, request))
        return make(self, operation, request)

    monkeypatch.setattr(BaseClient, "_make_api_call", recording)
    return recorded


def test_every_call_of_a_hand_off_is_allowed(
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
    made = [(action, f"arn:aws:s3:::{resource}") for action, resource in job.role_calls]
    assert {action for action, _ in made} == {"s3:ListBucket", "s3:GetObject", "s3:PutObject"}
    assert [call for call in made if not role.allows(*call)] == []


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
        ("job-role-policy", "s3:PutObject", "arn:aws:s3:::films/shards/a.npy"),
        ("job-role-policy", "s3:GetObject", "arn:aws:s3:::films/npz/a/train/a.npz"),
        ("job-role-policy", "s3:DeleteObject", "arn:aws:s3:::films/sagemaker-checkpoints/a/state-a"),
        ("job-role-policy", "s3:GetObject", "arn:aws:s3:::films/x-ray-v2/train/a.png"),
        ("job-role-policy", "sagemaker:CreateTrainingJob", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/cxr-a"),
    ],
)
def test_a_call_outside_the_policy_is_denied(policy: str, action: str, resource: str) -> None:
    assert not Policy(policy, "films").allows(action, resource)
