"""The `evaluate` section of params.yaml."""

from pydantic import Field

from cxr.core.config import Section

RULE = r"^(youden|f1|sensitivity@0?\.\d+|fixed|fixed@0?\.\d+)$"


class EvaluateSection(Section):
    """What evaluation reports, and how the operating point is chosen."""

    threshold: str = Field(
        "youden", pattern=RULE, description="youden | f1 | sensitivity@0.95 | fixed (0.5) | fixed@0.3"
    )
    subgroups: tuple[str, ...] = Field((), description="columns of the manifest; figures are given for each value")
    resamples: int = Field(2000, ge=100, le=100_000, description="bootstrap resamples over patients")
    seed: int = Field(0, ge=0, description="of the bootstrap")
    gallery_films: int = Field(24, ge=0, le=96, description="films in the Grad-CAM gallery; 0 draws none")
    shortcuts: bool = Field(True, description="score films again without lungs and with lungs only")
    baseline: bool = Field(True, description="fit the HOG baseline on the training films")
