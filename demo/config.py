"""The `demo` section of params.yaml."""

from pydantic import Field

from cxr.core.config import Section


class DemoSection(Section):
    """The embedded synthetic cohort."""

    patients: int = Field(ge=12, le=9999)
    seed: int = Field(ge=0)
