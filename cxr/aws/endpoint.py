"""A bundle on SageMaker: model, endpoint or batch transform, and an entry in the model registry.

An endpoint's name holds the hash of model.tar.gz. Names of models, configurations and jobs also hold that of their
settings, so a second call finds what the first one made, and other settings never meet it. The requests are plain data,
in the service's own terms: what `--dry-run` prints is what is sent.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cxr.aws.objects import file_md5
from cxr.core.errors import CxrError
from cxr.core.files import digest

PROJECT = "cxr-pneumonia"
SERVERLESS_MB = 3072
Kind = Literal["realtime", "serverless", "transform"]
# AWS's limits of a request's body, in MB; a raw DICOM film is larger than the first two.
PAYLOAD_MB: dict[str, int] = {"realtime": 6, "serverless": 4, "transform": 100}


@dataclass(frozen=True)
class Target:
    """Where and how a bundle is served."""

    kind: Kind
    image: str  # URI of the image that docker/Dockerfile builds
    role: str  # ARN of the role that SageMaker assumes
    store_url: str  # s3://bucket/prefix/
    instance_type: str = "ml.c6i.large"
    films_url: str = ""  # of a transform: the S3 prefix with the films


@dataclass(frozen=True)
class Bundle:
    """A packed bundle and the metadata for the registry."""

    archive: Path  # model.tar.gz
    md5: str
    provenance: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the model and the endpoint."""
        return f"{PROJECT}-{self.md5[:12]}"


def open_bundle(archive: Path, folder: Path) -> Bundle:
    """The packed bundle and its provenance.json; raises CxrError when either is missing."""
    if not archive.is_file():
        raise CxrError(f"{archive}: no packed bundle; run `dvc repro package`")
    try:
        provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CxrError(f"{folder / 'provenance.json'}: cannot be read; run `dvc repro package`") from error
    return Bundle(archive, file_md5(archive), provenance)


def requests(bundle: Bundle, target: Target, attempt: int = 1) -> dict[str, dict[str, Any]]:
    """Every request of a deployment by the name of its operation, in the order in which they are sent.

    `attempt` counts the transform jobs for one input.
    """
    tags = [{"Key": "project", "Value": PROJECT}, {"Key": "bundle_md5", "Value": bundle.md5}]
    container = _container(bundle, target)
    model = model_name(bundle, target)
    made: dict[str, dict[str, Any]] = {
        "CreateModel": {
            "ModelName": model,
            "PrimaryContainer": container,
            "ExecutionRoleArn": target.role,
            "EnableNetworkIsolation": target.kind != "serverless",  # AWS excludes it there
            "Tags": tags,
        }
    }
    if target.kind == "transform":
        return made | {"CreateTransformJob": _transform(bundle, target, tags, attempt)}
    variant: dict[str, Any] = {"VariantName": "films", "ModelName": model}
    if target.kind == "serverless":
        variant["ServerlessConfig"] = {"MemorySizeInMB": SERVERLESS_MB, "MaxConcurrency": 5}
    else:
        variant |= {"InitialInstanceCount": 1, "InstanceType": target.instance_type}
    config = f"{model}-{_hash(json.dumps(variant, sort_keys=True))}"
    made["CreateEndpointConfig"] = {
        "EndpointConfigName": config,
        "ProductionVariants": [variant],
        "Tags": tags,
    }
    made["CreateEndpoint"] = {
        "EndpointName": bundle.name,
        "EndpointConfigName": config,
        "Tags": tags,
    }
    return made


def facts(config: dict[str, Any], model: dict[str, Any]) -> dict[str, str]:
    """What a person compares of two endpoints: of the requests as of the service's descriptions."""
    variant = config["ProductionVariants"][0]
    return {
        "kind": "serverless" if "ServerlessConfig" in variant else "realtime",
        "image": str(model.get("PrimaryContainer", {}).get("Image", "")),
        "role": str(model.get("ExecutionRoleArn", "")),
        "instance type": str(variant.get("InstanceType", "")),
        "bundle": str(model.get("PrimaryContainer", {}).get("ModelDataUrl", "")),
    }


def registry_requests(bundle: Bundle, target: Target, metrics_url: str) -> dict[str, dict[str, Any]]:
    """The model registry's group and the bundle's entry in it, which a person must approve.

    Raises:
        CxrError: the bundle's provenance lacks its training data or code.
    """
    container = _container(bundle, target)
    return {
        "CreateModelPackageGroup": {
            "ModelPackageGroupName": PROJECT,
            "ModelPackageGroupDescription": "Chest X-ray classifiers. Research use only.",
        },
        "CreateModelPackage": {
            "ModelPackageGroupName": PROJECT,
            "ModelApprovalStatus": "PendingManualApproval",
            "ModelPackageDescription": f"bundle {bundle.md5}; research use only",
            "InferenceSpecification": {
                "Containers": [container],
                "SupportedContentTypes": ["application/octet-stream", "application/json"],
                "SupportedResponseMIMETypes": ["application/json", "image/png"],
            },
            "ModelMetrics": {"ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": metrics_url}}},
            "CustomerMetadataProperties": {**_origin(bundle), "bundle_md5": bundle.md5},
        },
    }


def archive_url(bundle: Bundle, target: Target) -> str:
    """Where model.tar.gz lies on S3."""
    return f"{target.store_url}bundles/{bundle.md5}/model.tar.gz"


def model_name(bundle: Bundle, target: Target) -> str:
    """Bundle, kind and a hash of the settings. Serverless endpoints take no network isolation and need their own."""
    return f"{bundle.name}-{target.kind}-{_hash(target.image, target.role, archive_url(bundle, target))}"


def transform_name(bundle: Bundle, target: Target, attempt: int) -> str:
    """Bundle, a hash of the settings and of the films' prefix, and the attempt."""
    return f"{bundle.name}-{_hash(model_name(bundle, target), target.films_url)}-{attempt}"


def _container(bundle: Bundle, target: Target) -> dict[str, Any]:
    # The variable lets the service stay root and take any client: on SageMaker only IAM's callers reach it.
    environment = {"CXR_PLATFORM": "sagemaker"}
    return {"Image": target.image, "ModelDataUrl": archive_url(bundle, target), "Environment": environment}


def _hash(*parts: str) -> str:
    return digest(*(part.encode() for part in parts))[:8]


def _origin(bundle: Bundle) -> dict[str, str]:
    """Fingerprints of the weights, of the films they were trained on and of the code that trained them."""
    try:
        training = bundle.provenance["training"]
        return {
            "classifier": bundle.provenance["classifier"],
            "training_data": training["data"],
            "training_code": training["code"],
        }
    except KeyError as error:
        raise CxrError(f"provenance.json of {bundle.name}: no {error}; run `dvc repro` to train and package") from error


def _transform(bundle: Bundle, target: Target, tags: list[dict[str, str]], attempt: int) -> dict[str, Any]:
    name = transform_name(bundle, target, attempt)
    source = {"S3DataType": "S3Prefix", "S3Uri": target.films_url}
    return {
        "TransformJobName": name,
        "ModelName": model_name(bundle, target),
        "MaxPayloadInMB": PAYLOAD_MB["transform"],
        "BatchStrategy": "SingleRecord",
        "TransformInput": {
            "DataSource": {"S3DataSource": source},
            "ContentType": "application/octet-stream",
            "SplitType": "None",
        },
        "TransformOutput": {"S3OutputPath": f"{target.store_url}transform/{name}/", "Accept": "application/json"},
        "TransformResources": {"InstanceType": target.instance_type, "InstanceCount": 1},
        "Tags": tags,
    }
