"""Fill in what compute.yaml leaves to the environment, so that no account number or bucket is in Git."""

import os
from importlib.metadata import version
from typing import Any

import boto3
from sagemaker.core import image_uris

from cxr.core.compute import SageMakerSection
from cxr.core.errors import CxrError


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
        values["region"] = boto3.Session().region_name
        if not values["region"]:
            raise CxrError("compute.yaml: sagemaker.region: none is configured; set AWS_REGION, or write it there")
    if values["image"] == "auto":
        values["image"] = _pytorch_image(values["region"], values["instance_type"])
    return SageMakerSection.model_validate(values)


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
