"""All that is known of a job before anything is sent."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr.core.config import Section, read_yaml
from cxr.core.errors import CxrError
from cxr.core.git import git_revision
from cxr.launch.code import CodeChannel, plan_code
from cxr.launch.config import SageMakerSection
from cxr.launch.npz_channels import NpzChannels, plan_channels
from cxr.launch.request import JobInputs, build_request, hyperparameters
from cxr.launch.settings import resolve
from cxr.npz.npz_set import read_npz

DATA = Path("data/npz")


@dataclass(frozen=True)
class JobPlan:
    """Settings, inputs and addresses of a job."""

    settings: SageMakerSection  # placeholders filled in
    data: NpzChannels
    code: CodeChannel
    inputs: JobInputs
    epochs: int
    store_url: str
    outs: tuple[Path, ...]

    def request(self, attempt: int) -> dict[str, Any]:
        """The CreateTrainingJob request of an attempt."""
        name = self.inputs.job_name(attempt)
        return build_request(self.settings, self.inputs, name, self.store_url, git_revision())


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
    data = plan_channels(root / DATA)
    code = plan_code(root, settings.wheels, weights)
    film = next(item.content for item in data.items if isinstance(item.content, Path) and item.key.endswith(".npz"))
    shown = hyperparameters(values, {"img_size": int(read_npz(film).image.shape[0])})
    inputs = JobInputs(data.data_md5, code.key, shown, settings.image)
    outs = read_yaml(root / "dvc.yaml")["stages"]["train"]["outs"]
    paths = tuple(Path(out if isinstance(out, str) else next(iter(out))) for out in outs)
    return JobPlan(settings, data, code, inputs, int(values["epochs"]), f"s3://{settings.bucket.rstrip('/')}/", paths)
