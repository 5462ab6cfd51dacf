"""The disks of instance types, compared with EC2's DescribeInstanceTypes, of which moto has a copy."""

import gzip
import json
from pathlib import Path

import moto
import pytest

from cxr.aws.config import has_local_disk, local_disk_gb, processor
from cxr.core.errors import CxrError
from tests.aws import service_model

DESCRIBED = json.loads(
    gzip.decompress((Path(moto.__file__).parent / "ec2/resources/instance_types.json.gz").read_bytes())
)
DISK_GB = {f"ml.{name}": each.get("InstanceStorageInfo", {}).get("TotalSizeInGB") for name, each in DESCRIBED.items()}


def supported() -> list[str]:
    """Every instance type of SageMaker training that the image runs on and that EC2 describes."""
    found = []
    for name in service_model.load("sagemaker").shape_for("TrainingInstanceType").enum:
        try:
            processor(name)
        except CxrError:
            continue
        found.append(name)
    return [name for name in found if name in DISK_GB]


@pytest.mark.parametrize("instance", supported())
def test_the_local_disk_of_an_instance_type_is_that_which_ec2_describes(instance: str) -> None:
    assert local_disk_gb(instance) == DISK_GB[instance]
    assert has_local_disk(instance) == (DISK_GB[instance] is not None)


def test_types_with_and_without_a_disk_are_among_those_compared() -> None:
    assert {"ml.g5.xlarge", "ml.p5.48xlarge", "ml.r5d.large", "ml.m5.xlarge"} <= {*supported()}
