"""The sagemaker section of compute.yaml, its environment variables, and instance types."""

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from cxr.aws.session import aws_session, check_partition
from cxr.core.config import Section, parse_section, read_yaml
from cxr.core.errors import CxrError
from cxr.runtime.compute import COMPUTE_FILE, Compute, ParallelSection

# CUDA 13 of AWS's images does not support Maxwell, Pascal and Volta (NVIDIA, CUDA 13.0 release notes).
OLD_GPUS = {"p2": "K80", "p3": "V100", "p3dn": "V100", "g3": "M60", "g3s": "M60"}
LOCAL_DISK = ("g4dn", "g5", "g6", "g7", "p4", "p5", "p6")
# GB of these disks by size, as DescribeInstanceTypes of EC2 gives them (tests/aws/test_config.py compares them).
_LOCAL_GB = {
    "g4dn": {"xlarge": 125, "2xlarge": 225, "4xlarge": 225, "8xlarge": 900, "12xlarge": 900, "16xlarge": 900},
    "g5": {"xlarge": 250, "2xlarge": 450, "4xlarge": 600, "8xlarge": 900, "16xlarge": 1900, "12xlarge": 3800,
           "24xlarge": 3800, "48xlarge": 7600},
    "g6": {"xlarge": 250, "2xlarge": 450, "4xlarge": 600, "8xlarge": 900, "16xlarge": 1880, "12xlarge": 3760,
           "24xlarge": 3760, "48xlarge": 7520},
    "g6e": {"xlarge": 250, "2xlarge": 450, "4xlarge": 600, "8xlarge": 900, "16xlarge": 1900, "12xlarge": 3800,
            "24xlarge": 3800, "48xlarge": 7600},
    "g7": {"2xlarge": 440, "4xlarge": 875, "8xlarge": 930, "12xlarge": 1900, "24xlarge": 3800, "48xlarge": 7600},
    "g7e": {"2xlarge": 1900, "4xlarge": 1900, "8xlarge": 1900, "12xlarge": 3800, "24xlarge": 7600, "48xlarge": 15200},
    "p4d": {"24xlarge": 8000}, "p4de": {"24xlarge": 8000}, "p5": {"4xlarge": 3800, "48xlarge": 30400},
    "p5e": {"48xlarge": 30400}, "p5en": {"48xlarge": 30400}, "p6-b200": {"48xlarge": 30400},
    "p6-b300": {"48xlarge": 30400},
    "r5d": {"large": 75, "xlarge": 150, "2xlarge": 300, "4xlarge": 600, "8xlarge": 1200, "12xlarge": 1800,
            "16xlarge": 2400, "24xlarge": 3600},
}  # fmt: skip


def family(instance_type: str) -> str:
    """`g5` of `ml.g5.xlarge`."""
    return instance_type.removeprefix("ml.").split(".")[0]


def processor(instance_type: str) -> Literal["cpu", "gpu"]:
    """The processor of the job; raises CxrError for an instance that the training image does not support."""
    name, where = family(instance_type), f"compute.yaml: sagemaker.instance_type: {instance_type}"
    if name in OLD_GPUS:
        raise CxrError(f"{where}: the image's CUDA 13 no longer runs on its {OLD_GPUS[name]} GPUs; take g4dn, g5 or g6")
    if name.startswith(("trn", "inf")):
        raise CxrError(f"{where}: AWS's Neuron chips need another PyTorch than the image has; take g5, or m5 for a CPU")
    if name.startswith(("p6e", "g5g")):
        raise CxrError(f"{where}: an Arm processor, and image and wheels are for x86-64; take another family")
    return "gpu" if name[:1] in ("g", "p") and name[1:2].isdigit() else "cpu"


def has_local_disk(instance_type: str) -> bool:
    """Whether an instance has a local NVMe disk (AWS: instance store volumes); then SageMaker adds no volume to it."""
    name = family(instance_type)
    return name.startswith(LOCAL_DISK) or (processor(instance_type) == "cpu" and name.endswith("d"))


def local_disk_gb(instance_type: str) -> int | None:
    """Size of an instance's local disk in GB, or None where it has none or the table above lacks it."""
    return _LOCAL_GB.get(family(instance_type), {}).get(instance_type.rsplit(".", 1)[-1])


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
            raise ValueError("subnets and security_groups: give both or neither")
        if self.spot and self.keep_alive_minutes:
            raise ValueError("keep_alive_minutes: a spot instance cannot be kept; write 0, or spot: false")
        return self


def load_sagemaker(path: Path = COMPUTE_FILE) -> SageMakerSection:
    """Read the section; raises CxrError as for any section."""
    return parse_section(read_yaml(path).get("sagemaker"), SageMakerSection, f"{path}: sagemaker")


def resolve(settings: SageMakerSection) -> SageMakerSection:
    """The settings with each `$NAME` replaced and the region found as AWS's tools find it.

    Raises:
        CxrError: values are missing (all in one line), or the instance is not supported.
    """
    values: dict[str, Any] = settings.model_dump()
    missing = []
    for name, value in values.items():
        if isinstance(value, str) and value.startswith("$"):
            values[name] = os.environ.get(value[1:], "")
            if not values[name]:
                missing.append(f"sagemaker.{name}: the environment variable {value[1:]} is not set")
    if values["region"] == "auto":
        values["region"] = aws_session().region_name
        if not values["region"]:
            missing.append("sagemaker.region: none is configured, as by AWS_REGION")
    if missing:
        raise CxrError(f"compute.yaml: {'; '.join(missing)}; export them, or write the values there")
    found = SageMakerSection.model_validate(values)
    check_partition(found.region, "compute.yaml: sagemaker.region")
    processor(found.instance_type)
    if found.volume_kms_key != "none" and has_local_disk(found.instance_type):
        raise CxrError(
            f"compute.yaml: sagemaker.volume_kms_key: {found.instance_type} has a disk of its own, which its hardware "
            "encrypts, and SageMaker takes no key for it; write none"
        )
    return found


def job_compute(settings: SageMakerSection) -> Compute:
    """The compute.yaml of the job: all GPUs of a GPU instance, and never its CPU instead."""
    return Compute(
        backend="local",
        workers="auto",
        accelerator=processor(settings.instance_type),
        devices="auto",
        nodes=settings.instance_count,
        parallel=ParallelSection(engine="loky", address="none"),
        sagemaker={},
    )
