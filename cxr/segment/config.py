"""The `segment` section of params.yaml."""

from pydantic import Field

from cxr.core.config import Section


class SegmentSection(Section):
    """How lung masks are found, and when one is not believed.

    The bounds of plausibility lie well outside of what 1,038 reference masks of children and adults show: lungs on
    16 to 60 % of the film, the smaller lung at least half of the larger, their centre within 20 % of the film's.
    """

    seg_on_gray: bool = Field(description="true: the network sees the grey film; false: its own RGB channels, if any")
    threshold: float = Field(gt=0, lt=1, description="probability of lung from which a pixel counts")
    min_area: float = Field(ge=0, le=1, description="smallest plausible area of both lungs, share of the film")
    max_area: float = Field(gt=0, le=1, description="largest plausible area of both lungs, share of the film")
    min_lung_ratio: float = Field(ge=0, le=1, description="area of the smaller lung over that of the larger")
    max_offset: float = Field(ge=0, le=0.5, description="of the lungs' centre from the film's, share of a side")
