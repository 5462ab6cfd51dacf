"""The `package` section of params.yaml."""

from typing import Literal

from pydantic import Field

from cxr.bundle.population import Population
from cxr.core.config import Section


class PackageSection(Section):
    """Export format, share of validation films within the OOD threshold, and for whom the bundle is meant."""

    weights: Literal["float32", "int16"]
    torchscript: bool
    ood_quantile: float = Field(gt=0.5, le=1)
    population: Population
