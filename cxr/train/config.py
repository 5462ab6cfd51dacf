"""The `train` section of params.yaml: all of the recipe."""

from pathlib import PurePath
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from cxr.core.config import Section

PRETRAINED = PurePath("models/pretrained")  # a dependency of the train stage, so that another file there is trained on
SOURCES = ("package", "imagenet", "none")
Monitor = Literal["val_auroc", "corrupted_auroc", "mean_auroc", "val_loss", "corrupted_loss", "mean_loss"]


class AugmentSection(Section):
    """Random changes to training films, drawn anew for each film and epoch. Validation films never get them."""

    rotation: float = Field(ge=0, le=180)
    crop_scale: float = Field(gt=0, le=1)
    crop_ratio: float = Field(ge=1, le=2)
    flip: float = Field(ge=0, le=1)
    brightness: float = Field(ge=0, le=1)
    contrast: float = Field(ge=0, lt=1)
    gamma: float = Field(ge=0, lt=1)
    clahe: float = Field(ge=0, le=1)
    clahe_clip: float = Field(gt=0)
    blur: float = Field(ge=0, le=1)
    blur_sigma: float = Field(gt=0, le=10)
    noise: float = Field(ge=0, le=1)
    noise_std: float = Field(gt=0, le=128)
    erasing: float = Field(ge=0, le=1)
    erasing_area: float = Field(gt=0, lt=1)


class TrainSection(Section):
    """How the classifier is trained. What a run needs of the data (classes, image size) comes with the NPZ set."""

    backbone: str
    weights: str
    min_loaded: float = Field(ge=0, le=1)
    mask_channel: Literal["none", "concat", "multiply"]
    dropout: float = Field(ge=0, lt=1)

    epochs: int = Field(ge=1)
    patience: int = Field(ge=1)
    monitor: Monitor
    batch: int = Field(ge=1)
    accumulate: int = Field(ge=1)

    loss: Literal["bce", "cross_entropy"]
    label_smoothing: float = Field(ge=0, lt=1)
    balance: Literal["none", "sampler", "weights"]
    lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    schedule: Literal["plateau", "cosine"]
    warmup: float = Field(ge=0)
    plateau_patience: int = Field(ge=1)
    plateau_factor: float = Field(gt=0, lt=1)
    clip: float = Field(ge=0)
    ema: float = Field(ge=0, lt=1)

    amp: Literal["auto", "bf16", "fp16", "off"]
    compile: bool
    portable: bool
    deterministic: bool
    seed: int = Field(ge=0)
    augment: AugmentSection

    @field_validator("weights")
    @classmethod
    def _weights_are_watched(cls, weights: str) -> str:
        path = PurePath(weights)
        if weights in SOURCES or weights.startswith("hf://") or (path.parent == PRETRAINED and path.suffix):
            return weights
        raise ValueError(
            f"{', '.join(SOURCES)}, hf://owner/repo/file, or a file in {PRETRAINED}/, where DVC sees it change"
        )

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup >= self.epochs and self.warmup > 0:
            raise ValueError(f"warmup ({self.warmup}) must be shorter than epochs ({self.epochs})")
        return self
