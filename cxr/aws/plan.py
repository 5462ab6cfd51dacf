"""The plan of a training job: image, inputs, request, name."""

import logging
import re
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from sagemaker.core import image_uris

from cxr.aws.config import SageMakerSection, has_local_disk, local_disk_gb, processor, resolve
from cxr.aws.inputs import CodeChannel, ShardChannels, kept, plan_channels, plan_code, read_wheels
from cxr.aws.request import JobInputs, build_request, hyperparameters
from cxr.aws.session import aws_errors
from cxr.core.code import git_revision
from cxr.core.config import Section, read_yaml
from cxr.core.errors import CxrError
from cxr.npz.shards import open_shards

_ECR = re.compile(
    r"(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.([a-z0-9.-]+)/([^:@\s]+)(?::([^@\s]+))?(?:@(sha256:[0-9a-f]{64}))?"
)
# One instance type per processor, for looking up the image of each.
_VARIANTS = {"cpu": "ml.m5.xlarge", "gpu": "ml.g5.xlarge"}
DATA = Path("data/shards")
log = logging.getLogger(__name__)
ROOM_GB = 5.0  # packages, checkpoints and the model


@dataclass(frozen=True)
class Image:
    """A training image, and its identity in the hash of a job."""

    uri: str  # image of the job
    variants: tuple[str, ...]  # the CPU and the GPU build of one release, which are the same job


def choose_image(settings: SageMakerSection) -> Image:
    """The image of the settings, by its tag; raises CxrError if AWS has none for region and instance."""
    if settings.image != "auto":
        return Image(settings.image, (settings.image,))
    uris = {name: _pytorch_image(settings.region, instance) for name, instance in _VARIANTS.items()}
    return Image(uris[processor(settings.instance_type)], tuple(sorted(uris.values())))


def pin_image(image: Image, session: Any) -> Image:
    """The image by its digest, so that a tag moved to another build gives another job.

    Raises:
        CxrError: the address is not in ECR, the image does not exist, or access is denied.
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
    with aws_errors(where):
        try:
            # The call of `docker pull`, which AWS's registries allow to every account.
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


@dataclass(frozen=True)
class JobPlan:
    """Settings, inputs and addresses of a job."""

    settings: SageMakerSection  # placeholders filled in
    data: ShardChannels
    code: CodeChannel
    image: Image
    hyperparameters: dict[str, str]
    epochs: int
    store_url: str
    outs: tuple[Path, ...]

    @property
    def inputs(self) -> JobInputs:
        """All that decides the result, and so the job's name."""
        return JobInputs(self.data.data_md5, self.code.identity, self.hyperparameters, self.image.variants)

    def pinned(self, session: Any) -> "JobPlan":
        """The plan with the image's digest from its registry."""
        return replace(self, image=pin_image(self.image, session))

    def request(self, attempt: int) -> dict[str, Any]:
        """The CreateTrainingJob request of an attempt."""
        channels = {"data": self.data.data_md5, "code": self.code.key}
        return build_request(
            self.settings, self.inputs, self.inputs.job_name(attempt), self.image.uri, channels, self.store_url,
            git_revision(),
        )  # fmt: skip


def plan_job(train: Section, settings: SageMakerSection, root: Path = Path()) -> JobPlan:
    """Plan data, code, parameters and addresses of a job, without any request.

    Raises:
        CxrError: a setting is missing, or an input cannot be sent to the job.
    """
    settings = resolve(settings)
    values = train.model_dump(mode="json")
    weights = str(values["weights"])
    if settings.network_isolation and (weights == "imagenet" or weights.startswith("hf://")):
        raise CxrError(
            f"train.weights: {weights}: a job with network isolation reaches no hub; use package or a local file, "
            "or set sagemaker.network_isolation: false in compute.yaml"
        )
    wheels = None if settings.wheels == "none" else read_wheels(kept(root, settings.wheels), settings.image_python)
    shards = open_shards(root / DATA)
    data, code = plan_channels(shards), plan_code(root, wheels, weights)
    _check_room(settings, data.size + sum(item.size for item in code.items))
    outs = read_yaml(root / "dvc.yaml")["stages"]["train"]["outs"]
    return JobPlan(
        settings=settings,
        data=data,
        code=code,
        image=choose_image(settings),
        hyperparameters=hyperparameters(values, {"img_size": shards.image_px}),
        epochs=int(values["epochs"]),
        store_url=f"s3://{settings.bucket.rstrip('/')}/",
        outs=tuple(Path(out if isinstance(out, str) else next(iter(out))) for out in outs),
    )


def _check_room(settings: SageMakerSection, size: int) -> None:
    needed, instance = size / 1e9 + ROOM_GB, settings.instance_type
    why = f"data, packages and checkpoints need about {needed:.0f} GB"
    if not has_local_disk(instance):
        if needed > settings.volume_gb:
            raise CxrError(f"compute.yaml: sagemaker.volume_gb: {settings.volume_gb} GB is too little: {why}; raise it")
        return
    disk = local_disk_gb(instance)
    if disk is None:
        log.warning("the size of the disk of %s is not known here: %s; check that they fit", instance, why)
    elif needed > disk:
        raise CxrError(
            f"compute.yaml: sagemaker.instance_type: {instance} has a fixed disk of {disk} GB, and {why}; take a "
            "larger size, or a type without a disk of its own"
        )
