"""The `package` section of params.yaml."""

from typing import Literal

from pydantic import Field

from cxr.core.config import Section


class PackageSection(Section):
    """What a bundle holds, and which films it flags as out of distribution."""

    weights: Literal["float32", "int16"]
    torchscript: bool
    ood_quantile: float = Field(gt=0.5, le=1)
