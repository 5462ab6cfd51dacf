"""The `evaluate` section of params.yaml."""

from typing import Literal

from pydantic import Field

from cxr.core.config import Section

RULE = r"^(youden|f1|sensitivity@0?\.\d+|fixed|fixed@0?\.\d+)$"


class EvaluateSection(Section):
    """The reported metrics and pictures, and the rule for the operating point."""

    threshold: str = Field(pattern=RULE, description="youden | f1 | sensitivity@0.95 | fixed | fixed@0.3")
    subgroups: tuple[str, ...]
    subgroup_patients: int = Field(ge=2)
    prevalence: float = Field(gt=0, lt=1)
    resamples: int = Field(ge=100, le=100_000)
    seed: int = Field(ge=0)
    gallery_films: int = Field(ge=0, le=96)
    pictures_in_git: Literal["auto", "always", "never"]
    shortcuts: bool
    baseline: bool
