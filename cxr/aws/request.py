"""The CreateTrainingJob request, as plain data: a function of settings, parameters and addresses."""

import json
from dataclasses import dataclass
from typing import Any

from cxr.aws.config import SageMakerSection, family, job_compute, processor
from cxr.aws.container.workspace import ALIASES, CHANNELS, COMPUTE, METRICS
from cxr.aws.inputs import manifest_key
from cxr.core.errors import CxrError
from cxr.core.files import digest

PROJECT = "cxr-pneumonia"
ENTRY = "cd /opt/ml/input/data/code && exec python3 -m cxr.aws.container.entry"
CHECKPOINTS = "/opt/ml/checkpoints"
VALUE_CHARACTERS = 2500  # of a hyperparameter, as SageMaker limits it


@dataclass(frozen=True)
class JobInputs:
    """All inputs that decide a job's result."""

    data_md5: str
    code_identity: str
    hyperparameters: dict[str, str]
    images: tuple[str, ...]  # all builds of the image, so that CPU and GPU instances give the same job

    @property
    def key(self) -> str:
        """The hash in the job name and the checkpoint address."""
        parameters = json.dumps(self.hyperparameters, sort_keys=True)
        parts = (self.data_md5, self.code_identity, parameters, *self.images)
        return digest(*(part.encode() for part in parts))[:16]

    def job_name(self, attempt: int) -> str:
        """`cxr-pneumonia-<hash>`, with `-2`, `-3` … after failed or stopped attempts."""
        return f"{PROJECT}-{self.key}" + (f"-{attempt}" if attempt > 1 else "")


def hyperparameters(values: dict[str, Any], facts: dict[str, Any]) -> dict[str, str]:
    """The flattened train section, one JSON value per parameter.

    JSON keeps types, apostrophes and newlines intact in shells and logs. Facts of the data and the usual names of some
    parameters are added for readers of the console.
    """
    flat: dict[str, Any] = dict(facts)
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": each for inner, each in value.items()}
        else:
            flat[name] = value
    flat |= {alias: flat[name] for alias, name in ALIASES.items()}
    shown = {name: json.dumps(value) for name, value in flat.items()}
    for name, text in shown.items():
        if len(text) > VALUE_CHARACTERS:
            raise CxrError(f"train.{name}: {len(text)} characters; SageMaker takes {VALUE_CHARACTERS}")
    return shown


def build_request(
    settings: SageMakerSection,
    inputs: JobInputs,
    name: str,
    image: str,
    channels: dict[str, str],
    store_url: str,
    git_sha: str,
) -> dict[str, Any]:
    """The request in the service's own terms.

    Args:
        settings: the sagemaker section, with placeholders filled in.
        inputs: all that decides the result.
        name: of the job.
        image: address of the training image.
        channels: `data` and `code`: the hashes under which they lie.
        store_url: prefix of data, code, checkpoints and output; ends in `/`.
        git_sha: goes into a tag.
    """
    output_key = {} if settings.output_kms_key == "none" else {"KmsKeyId": settings.output_kms_key}
    disk_key = {} if settings.volume_kms_key == "none" else {"VolumeKmsKeyId": settings.volume_kms_key}
    limits = {"MaxRuntimeInSeconds": round(settings.max_hours * 3600)}
    if settings.spot:
        limits["MaxWaitTimeInSeconds"] = round(settings.max_wait_hours * 3600)
    pool = {"KeepAlivePeriodInSeconds": settings.keep_alive_minutes * 60} if settings.keep_alive_minutes else {}
    inputs_of_job = [
        _channel(name, "ManifestFile", f"{store_url}{manifest_key(channels['data'], name)}") for name in CHANNELS
    ]
    # The address ends in `/`: SageMaker uses it as a prefix, and `…/a` would also fetch `…/abc`.
    inputs_of_job.append(_channel("code", "S3Prefix", f"{store_url}sagemaker-code/{channels['code']}/"))
    environment = {
        "SM_CHECKPOINT_DIR": CHECKPOINTS,
        COMPUTE: job_compute(settings).model_dump_json(),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "RoleArn": settings.role,
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash", "-c"],
            "ContainerArguments": [ENTRY],
            "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in METRICS.items()],
        },
        "HyperParameters": inputs.hyperparameters,
        "InputDataConfig": inputs_of_job,
        "OutputDataConfig": {"S3OutputPath": f"{store_url}sagemaker-output/", **output_key},
        "CheckpointConfig": {"S3Uri": f"{store_url}sagemaker-checkpoints/{inputs.key}/", "LocalPath": CHECKPOINTS},
        "ResourceConfig": {
            "InstanceType": settings.instance_type,
            "InstanceCount": settings.instance_count,
            "VolumeSizeInGB": settings.volume_gb,
            **disk_key,
            **pool,
        },
        "StoppingCondition": limits,
        "EnableManagedSpotTraining": settings.spot,
        "EnableNetworkIsolation": settings.network_isolation,
        "EnableInterContainerTrafficEncryption": settings.instance_count > 1,
        "Environment": environment,
        "Tags": [
            {"Key": "project", "Value": PROJECT},
            {"Key": "git_sha", "Value": git_sha},
            {"Key": "data_md5", "Value": inputs.data_md5},
        ],
    }
    if settings.retries:
        request["RetryStrategy"] = {"MaximumRetryAttempts": settings.retries}
    if settings.subnets:
        request["VpcConfig"] = {
            "SecurityGroupIds": list(settings.security_groups),
            "Subnets": list(settings.subnets),
        }
    return request


def _channel(name: str, kind: str, url: str) -> dict[str, Any]:
    # Every instance gets all films; the stage distributes them.
    source = {"S3DataType": kind, "S3Uri": url, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "InputMode": "File"}


def quotas(settings: SageMakerSection) -> dict[str, int]:
    """Instances of a job by the name of each quota that applies."""
    uses = ["spot training job" if settings.spot else "training job"]
    uses += ["training warm pool"] if settings.keep_alive_minutes else []
    return {f"{settings.instance_type} for {use} usage": settings.instance_count for use in uses}


def cost_estimate(settings: SageMakerSection) -> str:
    """The maximum cost of a job, in instance-hours and as a price class."""
    name, size = family(settings.instance_type), settings.instance_type.rsplit(".", 1)[-1]
    if processor(settings.instance_type) == "cpu":
        band = "CPU: cents to a few dollars an hour"
    elif name.startswith("g"):
        several = size in {"12xlarge", "24xlarge", "48xlarge"}
        band = "several GPUs: about 5 to 20 dollars an hour" if several else "one GPU: about 1 to 5 dollars an hour"
    else:
        band = "large GPUs: tens of dollars an hour"
    spot = "; spot, usually 50 to 70 % less" if settings.spot else ""
    hours = settings.instance_count * settings.max_hours
    return f"{settings.instance_count} x {settings.instance_type}, at most {hours:g} instance-hours ({band}{spot})"
