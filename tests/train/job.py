"""One training run in a process of its own, for tests that kill it: `python -m tests.train.job job.json`."""

import json
import sys
from pathlib import Path

import torch

from cxr.runtime.console import run_stage
from cxr.train.config import TrainSection
from cxr.train.train import RunPaths, train
from tests.settings import machine, section

if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    paths = RunPaths(curves=None, **{name: Path(path) for name, path in job["places"].items()})
    run_stage(lambda: train(section(TrainSection, **job["settings"]), machine(accelerator="cpu"), paths))
