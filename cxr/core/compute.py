"""Where and how fast: the settings of compute.yaml. No stage's result depends on them."""

from pathlib import Path
from typing import Literal, Self

import joblib
from pydantic import Field, model_validator

from cxr.core.config import Section, parse_section, read_yaml

COMPUTE_FILE = Path("compute.yaml")


class ParallelSection(Section):
    """The engine of per-film work: processes of this machine, or a Dask cluster."""

    engine: Literal["loky", "dask"] = "loky"
    address: str = Field("none", description="Dask scheduler, such as tcp://10.0.0.5:8786; `none` with loky")


class SageMakerSection(Section):
    """Where and how a training job runs. `$NAME` as a value stands for the environment variable NAME."""

    region: str = Field("auto", description="such as eu-central-1; auto = as every AWS tool finds it")
    role: str = Field("$CXR_SAGEMAKER_ROLE", description="ARN of the job's IAM role")
    bucket: str = Field("$CXR_SAGEMAKER_BUCKET", description="bucket name, or bucket/prefix, without s3://")
    image: str = Field("auto", description="URI of the training image; auto = AWS's PyTorch image for the region")
    instance_type: str = "ml.g5.xlarge"
    instance_count: int = Field(1, ge=1, description="several train together, through DDP")
    volume_gb: int = Field(50, ge=1, le=16384)
    max_hours: float = Field(4.0, gt=0, le=672, description="the job is stopped after that; its checkpoint stays")
    spot: bool = Field(False, description="spare capacity: cheaper, and resumed when it is taken away")
    max_wait_hours: float = Field(8.0, gt=0, le=672, description="with spot: waiting and running together")
    network_isolation: bool = True
    wheels: str = Field("wheels", description="folder of wheels that the image lacks; or none")
    subnets: tuple[str, ...] = Field((), description="of the VPC; with security_groups")
    security_groups: tuple[str, ...] = ()
    volume_kms_key: str = Field("none", description="key of the instance's disk")
    output_kms_key: str = Field("none", description="key of all objects written")
    poll_seconds: float = Field(10.0, ge=0.1, description="between two questions for status and log")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.spot and self.max_wait_hours < self.max_hours:
            raise ValueError(f"max_wait_hours ({self.max_wait_hours}) must be at least max_hours ({self.max_hours})")
        if bool(self.subnets) != bool(self.security_groups):
            raise ValueError("subnets and security_groups belong together; give both or neither")
        return self


class Compute(Section):
    """The whole of compute.yaml."""

    backend: Literal["local", "sagemaker"] = Field("local", description="where the train stage runs")
    workers: int | Literal["auto"] = Field("auto", description="processes for per-film work; auto = all cores")
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int | Literal["auto"] = Field("auto", description="GPUs, or CPU processes with accelerator cpu")
    nodes: int = Field(1, ge=1, description="machines that train together; a SageMaker job sets it")
    parallel: ParallelSection = ParallelSection()
    sagemaker: SageMakerSection = SageMakerSection()

    @property
    def n_workers(self) -> int:
        """Processes for per-film work on this machine."""
        return joblib.cpu_count() if self.workers == "auto" else max(1, self.workers)


def load_compute(path: Path = COMPUTE_FILE) -> Compute:
    """Read compute.yaml; raises CxrError as for any section."""
    return parse_section(read_yaml(path), Compute, str(path))
