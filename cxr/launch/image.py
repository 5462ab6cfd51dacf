"""The training image: AWS's PyTorch image of the installed version, or one's own, pinned by its digest."""

import re
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from botocore.exceptions import ClientError
from sagemaker.core import image_uris

from cxr.core.errors import CxrError
from cxr.launch.config import SageMakerSection
from cxr.launch.faults import faults
from cxr.launch.instances import processor

_ECR = re.compile(
    r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.([a-z0-9.-]+)/([^:@\s]+)(?::([^@\s]+))?(?:@(sha256:[0-9a-f]{64}))?"
)
# One instance type a processor, to ask AWS's table for the image of each.
_VARIANTS = {"cpu": "ml.m5.xlarge", "gpu": "ml.g5.xlarge"}


@dataclass(frozen=True)
class Image:
    """A training image, and what of it decides a job's result."""

    uri: str  # that the job runs
    variants: tuple[str, ...]  # the CPU and the GPU build of one release: the same job, whichever of them runs it


def choose_image(settings: SageMakerSection) -> Image:
    """The image of the settings, by its tag; raises CxrError when AWS has none for the region and the instance."""
    if settings.image != "auto":
        return Image(settings.image, (settings.image,))
    uris = {name: _pytorch_image(settings.region, instance) for name, instance in _VARIANTS.items()}
    return Image(uris[processor(settings.instance_type)], tuple(sorted(uris.values())))


def pin_image(image: Image, session: Any) -> Image:
    """The image by its digest, so that a tag which AWS moves to another build is another job.

    Raises:
        CxrError: an address is none of ECR's, there is no such image, or asking for it is not allowed.
    """
    pinned = {uri: _pinned(uri, session) for uri in {image.uri, *image.variants}}
    return Image(pinned[image.uri], tuple(sorted(pinned[uri] for uri in image.variants)))


def _pinned(uri: str, session: Any) -> str:
    where = f"compute.yaml: sagemaker.image: {uri}"
    parts = _ECR.fullmatch(uri)
    if parts is None:
        raise CxrError(f"{where}: no address in ECR; write ACCOUNT.dkr.ecr.REGION.amazonaws.com/REPOSITORY:TAG")
    account, region, domain, repository, tag, digest = parts.groups()
    if digest:
        return uri
    with faults(where):
        try:
            # The call that a `docker pull` makes: AWS's registries allow it to every account.
            answer = session.client("ecr", region_name=region).batch_get_image(
                registryId=account, repositoryName=repository, imageIds=[{"imageTag": tag or "latest"}]
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "RepositoryNotFoundException":
                raise CxrError(f"{where}: no such repository; correct the address") from error
            raise
    if not answer.get("images"):
        raise CxrError(f"{where}: no such image; correct the tag, or build and push it first")
    return f"{account}.dkr.ecr.{region}.{domain}/{repository}@{answer['images'][0]['imageId']['imageDigest']}"


def _pytorch_image(region: str, instance_type: str) -> str:
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
