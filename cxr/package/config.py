"""The `package` section of params.yaml."""

from typing import Literal

from pydantic import Field

from cxr.core.config import Section


class PackageSection(Section):
    """Export format, and the share of validation films within the OOD threshold."""

    weights: Literal["float32", "int16"]
    torchscript: bool
    ood_quantile: float = Field(gt=0.5, le=1)
