"""All that is known of a job before anything is sent."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cxr.core.config import Section, read_yaml
from cxr.core.errors import CxrError
from cxr.core.git import git_revision
from cxr.launch.code import CodeChannel, kept, plan_code
from cxr.launch.config import SageMakerSection
from cxr.launch.image import Image, choose_image, pin_image
from cxr.launch.instances import has_local_disk
from cxr.launch.request import JobInputs, build_request, hyperparameters
from cxr.launch.settings import resolve
from cxr.launch.shard_channels import ShardChannels, plan_channels
from cxr.launch.wheels import read_wheels
from cxr.shards.shard_set import open_shards

DATA = Path("data/shards")
ROOM_GB = 5.0  # packages, checkpoints and the model


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
        """What decides the result, and with it the job's name."""
        return JobInputs(self.data.data_md5, self.code.identity, self.hyperparameters, self.image.variants)

    def pinned(self, session: Any) -> "JobPlan":
        """The plan with the image's digest, which only its registry knows."""
        return replace(self, image=pin_image(self.image, session))

    def request(self, attempt: int) -> dict[str, Any]:
        """The CreateTrainingJob request of an attempt."""
        channels = {"data": self.data.data_md5, "code": self.code.key}
        return build_request(
            self.settings, self.inputs, self.inputs.job_name(attempt), self.image.uri, channels, self.store_url,
            git_revision(),
        )  # fmt: skip


def plan_job(train: Section, settings: SageMakerSection, root: Path = Path()) -> JobPlan:
    """Work out data, code, parameters and addresses, without a request to anyone.

    Raises:
        CxrError: a setting is missing, or something that the job needs cannot reach it.
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
    needed = size / 1e9 + ROOM_GB
    if needed > settings.volume_gb and not has_local_disk(settings.instance_type):
        raise CxrError(
            f"compute.yaml: sagemaker.volume_gb: {settings.volume_gb} GB is too little: data, packages and checkpoints "
            f"need about {needed:.0f} GB; raise it"
        )
