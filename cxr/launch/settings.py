"""Fill in what compute.yaml leaves to the environment, so that no account number or bucket is in Git."""

import os
from importlib.metadata import version
from typing import Any

from sagemaker.core import image_uris

from cxr.core.errors import CxrError
from cxr.launch.config import SageMakerSection
from cxr.launch.store import aws_session


def resolve(settings: SageMakerSection) -> SageMakerSection:
    """The settings with each `$NAME` replaced, the region found as AWS's tools find it, and the image named.

    Raises:
        CxrError: a variable or the region is missing, or AWS has no PyTorch image for the region.
    """
    values: dict[str, Any] = settings.model_dump()
    for name, value in values.items():
        if isinstance(value, str) and value.startswith("$"):
            values[name] = os.environ.get(value[1:], "")
            if not values[name]:
                raise CxrError(
                    f"compute.yaml: sagemaker.{name}: the environment variable {value[1:]} is not set; "
                    "export it, or write the value there"
                )
    if values["region"] == "auto":
        values["region"] = aws_session().region_name
        if not values["region"]:
            raise CxrError("compute.yaml: sagemaker.region: none is configured; set AWS_REGION, or write it there")
    if values["image"] == "auto":
        values["image"] = _pytorch_image(values["region"], values["instance_type"])
    found = SageMakerSection.model_validate(values)
    if found.volume_kms_key != "none" and _has_local_disk(found.instance_type):
        raise CxrError(
            f"compute.yaml: sagemaker.volume_kms_key: {found.instance_type} has a disk of its own, which its hardware "
            "encrypts, and SageMaker takes no key for it; write none"
        )
    return found


def _has_local_disk(instance_type: str) -> bool:
    """Whether an instance has a local NVMe disk (AWS: Instance Store Volumes)."""
    family = instance_type.split(".")[1] if instance_type.count(".") == 2 else instance_type
    return family.startswith(("g4dn", "g5", "g6", "p3dn", "p4", "p5", "p6", "trn")) or family.endswith("d")


def _pytorch_image(region: str, instance_type: str) -> str:
    """AWS's training image with the PyTorch that is installed here."""
    torch = ".".join(version("torch").split(".")[:2])
    try:
        uri = image_uris.retrieve(
            "pytorch-amzn2023", region=region, version=torch, image_scope="training", instance_type=instance_type
        )
    except (ValueError, KeyError) as error:
        raise CxrError(
            f"compute.yaml: sagemaker.image: AWS has no PyTorch {torch} image for {instance_type} in {region}; "
            "write the URI of an image there"
        ) from error
    return str(uri)
