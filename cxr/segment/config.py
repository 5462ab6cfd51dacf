"""The `segment` section of params.yaml, and the part of a lung segmenter's metadata that scores its masks."""

from typing import Self

from pydantic import Field, model_validator

from cxr.core.config import Section


class SegmentSection(Section):
    """How lung masks are found, and when the whole film is used as a fallback.

    The plausibility bounds lie well outside the ranges of 1,038 reference masks of children and adults: lungs on 16 to
    60 % of the film, the smaller lung at least half of the larger, their centre within 20 % of the film's.
    """

    seg_on_gray: bool
    threshold: float = Field(gt=0, lt=1)
    min_area: float = Field(ge=0, le=1)
    max_area: float = Field(gt=0, le=1)
    min_lung_ratio: float = Field(ge=0, le=1)
    max_offset: float = Field(ge=0, le=0.5)
    min_quality: float = Field(ge=0, le=1)


class MaskQuality(Section):
    """How the measures of a mask give its expected Dice; fitted to one network and stored in its file.

    Each table is a polyline: the values of a measure, rising, and the expected Dice at them.
    """

    certain: float = Field(ge=0, le=1)  # soft Dice from which the film is not segmented again
    soft_dice: tuple[list[float], list[float]]  # table for films segmented once
    agreement: tuple[list[float], list[float]]  # table for films segmented twice
    flagged: float = Field(ge=0, le=1)  # expected Dice below which a prediction is flagged

    @model_validator(mode="after")
    def _polylines(self) -> Self:
        for name, (at, dice) in (("soft_dice", self.soft_dice), ("agreement", self.agreement)):
            if not at or len(at) != len(dice) or sorted(at) != at or sorted(dice) != dice:
                raise ValueError(f"{name}: expected two lists of the same length that never fall")
        return self


# Of version 1.0.0, whose file holds no mask quality.
FIRST_QUALITY = MaskQuality(
    certain=0.96,
    soft_dice=([0.96, 0.97, 0.98], [0.94, 0.96, 0.98]),
    agreement=([0.0, 0.8, 0.9, 0.95, 0.98, 1.0], [0.0, 0.74, 0.75, 0.82, 0.92, 0.94]),
    flagged=0.85,
)
