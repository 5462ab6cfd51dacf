"""Where and how fast: the settings of compute.yaml. No stage's result depends on them."""

from pathlib import Path
from typing import Any, Literal

import joblib
from pydantic import Field

from cxr.core.config import Section, parse_section, read_yaml

COMPUTE_FILE = Path("compute.yaml")


class ParallelSection(Section):
    """The engine of per-film work: processes of this machine, or a Dask cluster."""

    engine: Literal["loky", "dask"] = "loky"
    address: str = Field("none", description="Dask scheduler, such as tcp://10.0.0.5:8786; `none` with loky")


class Compute(Section):
    """The whole of compute.yaml."""

    backend: Literal["local", "sagemaker"] = Field("local", description="where the train stage runs")
    workers: int | Literal["auto"] = Field("auto", description="processes for per-film work; auto = all cores")
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int | Literal["auto"] = Field("auto", description="GPUs, or CPU processes with accelerator cpu")
    nodes: int = Field(1, ge=1, description="machines that train together; a SageMaker job sets it")
    parallel: ParallelSection = ParallelSection()
    sagemaker: dict[str, Any] = Field({}, description="settings of the hand-off, read by cxr/launch")

    @property
    def n_workers(self) -> int:
        """Processes for per-film work on this machine."""
        return joblib.cpu_count() if self.workers == "auto" else max(1, self.workers)


def load_compute(path: Path = COMPUTE_FILE) -> Compute:
    """Read compute.yaml; raises CxrError as for any section."""
    return parse_section(read_yaml(path), Compute, str(path))
