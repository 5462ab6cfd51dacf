"""Fill in what compute.yaml leaves to the environment, so that no account number or bucket is in Git."""

import os
from typing import Any

from cxr.compute.settings import Compute, ParallelSection
from cxr.core.errors import CxrError
from cxr.launch.config import SageMakerSection
from cxr.launch.instances import has_local_disk, processor
from cxr.launch.store import aws_session


def resolve(settings: SageMakerSection) -> SageMakerSection:
    """The settings with each `$NAME` replaced and the region found as AWS's tools find it.

    Raises:
        CxrError: values are missing, all of them in one line; or the instance is of no use.
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
