"""The `preprocess` section of params.yaml."""

from typing import Literal

from pydantic import Field

from cxr.core.config import Section


class PixelSection(Section):
    """Which region of a film is kept, how it is enhanced, and at which resolution it is stored."""

    image_px: int = Field(224, ge=32, le=1024, description="side of the stored image, pixels")
    region: Literal["crop", "mask", "none", "lungs_removed"] = Field(
        "crop", description="crop to the lungs' box; keep only lungs; keep all; black out the lungs (shortcut test)"
    )
    margin: float = Field(0.08, ge=0, le=1, description="around the lungs, share of the longer side of their box")
    clahe_probability: float = Field(1.0, ge=0, le=1, description="share of the films that get CLAHE, drawn by film")
    clahe_clip: float = Field(2.0, gt=0, le=40, description="CLAHE contrast limit")
    clahe_tiles: int = Field(8, ge=1, le=32, description="CLAHE tiles a side")
    blur_sigma: float = Field(0.0, ge=0, le=10, description="Gaussian blur, pixels of the stored image; 0 = off")
    stretch: bool = Field(True, description="min-max stretching of the film's pixels to 0..255")
    sharpen: float = Field(0.0, ge=0, le=5, description="amount of unsharp masking (sigma 2 pixels); 0 = off")
    colour: Literal["grey", "rgb"] = Field("grey", description="three equal channels, or the film's own colours")


class PreprocessSection(PixelSection):
    """The section: what decides the pixels, and the names of the files."""

    name: str = Field("{split}/{image_id}", min_length=1, description="template of each NPZ's name, without suffix")
