"""The settings of compute.yaml: where and how fast stages run. No result depends on them."""

from pathlib import Path
from typing import Any, Literal

import joblib
from pydantic import Field

from cxr.core.config import Section, parse_section, read_yaml

COMPUTE_FILE = Path("compute.yaml")


class ParallelSection(Section):
    """The engine of per-film work: processes on this machine, or a Dask cluster."""

    engine: Literal["loky", "dask"]
    address: str


class Compute(Section):
    """The whole of compute.yaml."""

    backend: Literal["local", "sagemaker"]
    workers: int | Literal["auto"]
    accelerator: Literal["auto", "cpu", "gpu"]
    devices: int | Literal["auto"]
    nodes: int = Field(ge=1)
    parallel: ParallelSection
    sagemaker: dict[str, Any]

    @property
    def n_workers(self) -> int:
        """Processes for per-film work on this machine."""
        return joblib.cpu_count() if self.workers == "auto" else max(1, self.workers)


def load_compute(path: Path = COMPUTE_FILE) -> Compute:
    """Read compute.yaml; raises CxrError for a missing, unknown or invalid value."""
    return parse_section(read_yaml(path), Compute, str(path))
