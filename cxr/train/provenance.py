"""Where a checkpoint comes from.

What rides in the checkpoint is a function of its inputs: data, code, versions and device. The commit and the wall time
differ between runs that give equal weights, so they would change the checkpoint's hash, and with it dvc.lock, for
nothing; they go to a record beside the scratch files, to the log and to MLflow.
"""

import platform
import time
from typing import Any

import lightning
import numpy as np
import timm
import torch

from cxr.core.code import code_version, git_revision


def training_code() -> str:
    """Hash of the code that a training run depends on."""
    return code_version("cxr.train.train")


def stable_facts(data_hash: str, accelerator: str) -> dict[str, Any]:
    """What equal runs share."""
    device = torch.cuda.get_device_name() if accelerator == "gpu" else f"CPU {platform.machine()}"
    versions = {
        "torch": torch.__version__.split("+")[0],  # builds for CPU and for CUDA give a CPU the same weights
        "timm": timm.__version__,
        "lightning": lightning.__version__,
        "numpy": np.__version__,
    }
    return {"data": data_hash, "code": training_code(), "device": device, "versions": versions}


def run_facts(started: float) -> dict[str, Any]:
    """What differs from run to run: commit, date and wall time in seconds since `started` (time.time())."""
    return {
        "git_rev": git_revision(),
        "python": platform.python_version(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
    }
