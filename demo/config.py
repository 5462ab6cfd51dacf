"""The `demo` section of params.yaml."""

from pydantic import Field

from cxr.core.config import Section


class DemoSection(Section):
    """The embedded synthetic cohort."""

    patients: int = Field(ge=12, le=9999, description="patients, half of them with pneumonia, 1 to 4 films each")
    seed: int = Field(ge=0, description="another seed gives other patients")
