"""What the machine offers: weights, disk space, cores, GPU, and where training runs."""

import os
import shutil
from pathlib import Path

from cxr.aws.config import load_sagemaker
from cxr.check.report import CheckReport
from cxr.core.errors import CxrError
from cxr.preprocess.config import PreprocessSection
from cxr.runtime.compute import Compute
from cxr.train.config import TrainSection

GB = 1e9
KEPT = 3  # copies of each stored film: the out, DVC's cache and the per-film cache
CHANNELS = 4  # bytes of each pixel of a stored film: RGB and the mask


def check_machine(
    train: TrainSection, preprocess: PreprocessSection, compute: Compute, films: int, report: CheckReport
) -> None:
    """Add weights, devices, disk space and hand-off to the report."""
    report.attempt("weights", lambda: _weights(train))
    report.attempt("disk", lambda: _disk(preprocess, films))
    report.attempt("machine", lambda: _devices(train, compute))
    report.attempt("training", lambda: _place(compute))


def _weights(train: TrainSection) -> str:
    from cxr.models.weights import has_weights

    return f"{train.weights} for {train.backbone}: {has_weights(train.backbone, train.weights)}"


def _disk(preprocess: PreprocessSection, films: int) -> str:
    needed = films * preprocess.image_px**2 * CHANNELS * KEPT
    free = shutil.disk_usage(Path.cwd()).free
    if free < needed:
        raise CxrError(
            f"disk: {free / GB:.1f} GB free, {films} films of {preprocess.image_px} pixels need about "
            f"{needed / GB:.1f} GB; free some (`make prune`, `dvc gc`) or lower preprocess.image_px"
        )
    return f"{free / GB:.1f} GB free, about {needed / GB:.1f} GB needed"


def _devices(train: TrainSection, compute: Compute) -> str:
    from cxr.train.engine import pick_devices
    from cxr.train.recipe import batch_size

    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GB
    here = f"{compute.n_workers} processes for per-film work, {memory:.0f} GB of memory"
    if compute.backend != "local":
        return here
    accelerator, devices = pick_devices(compute, batch_size(0, train))
    return f"{here}; trains on {devices} GPU" if accelerator == "gpu" else f"{here}; trains on the CPU"


def _place(compute: Compute) -> str:
    if compute.backend == "local":
        return "on this machine (compute.yaml, backend: local)"
    from cxr.aws.config import resolve

    found = resolve(load_sagemaker())
    return f"on SageMaker: {found.instance_count} x {found.instance_type} in {found.region}, bucket {found.bucket}"
