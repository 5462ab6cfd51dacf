"""The `sagemaker` section of compute.yaml."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from cxr.compute.settings import COMPUTE_FILE
from cxr.core.config import Section, parse_section, read_yaml


class SageMakerSection(Section):
    """Where and how a training job runs. `$NAME` as a value stands for the environment variable NAME."""

    region: str
    role: str
    bucket: str
    image: str
    instance_type: str
    instance_count: int = Field(ge=1)
    volume_gb: int = Field(ge=1, le=16384)
    max_hours: float = Field(gt=0, le=672)
    spot: bool
    max_wait_hours: float = Field(gt=0, le=672)
    network_isolation: bool
    wheels: str
    image_python: str = Field(pattern=r"^3\.\d+$", description="a version such as 3.12")
    retries: int = Field(ge=0, le=30)
    keep_alive_minutes: int = Field(ge=0, le=60)
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    volume_kms_key: str
    output_kms_key: str
    poll_seconds: float = Field(ge=0.1)

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
