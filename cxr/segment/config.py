"""The `segment` section of params.yaml."""

from pydantic import Field

from cxr.core.config import Section


class SegmentSection(Section):
    """How lung masks are found, and when the whole film is the mask instead.

    The bounds of plausibility lie well outside of what 1,038 reference masks of children and adults show: lungs on
    16 to 60 % of the film, the smaller lung at least half of the larger, their centre within 20 % of the film's.
    """

    seg_on_gray: bool
    threshold: float = Field(gt=0, lt=1)
    min_area: float = Field(ge=0, le=1)
    max_area: float = Field(gt=0, le=1)
    min_lung_ratio: float = Field(ge=0, le=1)
    max_offset: float = Field(ge=0, le=0.5)
    min_quality: float = Field(ge=0, le=1)
