"""The `sagemaker` section of compute.yaml."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from cxr.compute.settings import COMPUTE_FILE
from cxr.core.config import Section, parse_section, read_yaml


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
    image_python: str = Field("3.12", pattern=r"^3\.\d+$", description="the image's Python, which the wheels must fit")
    retries: int = Field(
        0, ge=0, le=30, description="how often SageMaker starts the job again after a fault of its own"
    )
    keep_alive_minutes: int = Field(
        0, ge=0, le=60, description="warm pool: the instance waits, billed, for another job"
    )
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
        if self.spot and self.keep_alive_minutes:
            raise ValueError("keep_alive_minutes: a spot instance cannot be kept; write 0, or spot: false")
        return self


def load_sagemaker(path: Path = COMPUTE_FILE) -> SageMakerSection:
    """Read the section; raises CxrError as for any section."""
    return parse_section(read_yaml(path).get("sagemaker"), SageMakerSection, f"{path}: sagemaker")
