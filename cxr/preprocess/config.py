"""The `preprocess` section of params.yaml."""

from typing import Literal

from pydantic import Field

from cxr.core.config import Section
from cxr.films.film import REDUCED_PX


class PixelSection(Section):
    """The settings that decide the pixels: region, enhancement, resolution."""

    image_px: int = Field(ge=32, le=1024)
    region: Literal["crop", "mask", "none"]
    fit: Literal["squash", "letterbox"]
    margin: float = Field(ge=0, le=1)
    clahe_probability: float = Field(ge=0, le=1)
    clahe_clip: float = Field(gt=0, le=40)
    clahe_tiles: int = Field(ge=1, le=32)
    blur_sigma: float = Field(ge=0, le=10)
    stretch: bool
    sharpen: float = Field(ge=0, le=5)
    colour: Literal["grey", "rgb"]

    @property
    def enough_px(self) -> int:
        """Longer side of a film with enough detail: twice the image's, because a crop is of about half the film."""
        return 2 * self.image_px

    @property
    def resizing(self) -> Literal["whole", "reduced"]:
        """The pixels from which the image is made: a reduced film's where they are enough."""
        return "reduced" if self.enough_px <= REDUCED_PX else "whole"


class PreprocessSection(PixelSection):
    """The whole section: the settings of the pixels, and the template of the file names."""

    name: str = Field(min_length=1)
