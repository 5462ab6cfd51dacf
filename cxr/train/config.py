"""The `train` section of params.yaml."""

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from cxr.core.config import Section

# Dependencies of the train stage: DVC notices a changed file.
PRETRAINED, LUNG_ENCODER = PurePath("models/pretrained"), PurePath("models/lung_encoder.safetensors")
SOURCES = ("package", "imagenet", "none")


class AugmentSection(Section):
    """Random changes to training films, drawn for each film and epoch; not applied to validation films."""

    rotation: float = Field(ge=0, le=180)
    crop_scale: float = Field(gt=0, le=1)
    crop_ratio: float = Field(ge=1, le=2)
    flip: float = Field(ge=0, le=1)
    brightness: float = Field(ge=0, le=1)
    contrast: float = Field(ge=0, lt=1)
    gamma: float = Field(ge=0, lt=1)
    clahe: float = Field(ge=0, le=1)
    clahe_clip: float = Field(gt=0)
    sharpen: float = Field(ge=0, le=1)
    sharpen_amount: float = Field(gt=0, le=10)
    blur: float = Field(ge=0, le=1)
    blur_sigma: float = Field(gt=0, le=10)
    resolution: float = Field(ge=0, le=1)
    resolution_least: float = Field(gt=0, le=1)
    noise: float = Field(ge=0, le=1)
    noise_std: float = Field(gt=0, le=128)
    jpeg: float = Field(ge=0, le=1)
    jpeg_quality: float = Field(ge=1, le=100)


class TrainSection(Section):
    """How the classifier is trained. Classes and image size come from the NPZ set."""

    backbone: str
    weights: str
    min_loaded: float = Field(ge=0, le=1)
    mean: float | Literal["auto"]
    std: float | Literal["auto"]
    mask_channel: Literal["none", "concat"]
    dropout: float = Field(ge=0, lt=1)
    mirror: bool

    epochs: int = Field(ge=1)
    min_steps: int = Field(ge=0)
    keep: Literal["last", "best"]
    monitor: str = Field(
        pattern=r"^(val|corrupted|swapped|mean)_(auroc|loss)$",
        description="val_ | corrupted_ | swapped_ | mean_ with auroc or loss",
    )
    patience: int = Field(ge=0)
    batch: Annotated[int, Field(ge=1)] | Literal["auto"]
    accumulate: int = Field(ge=1)

    loss: Literal["bce", "cross_entropy"]
    label_smoothing: float = Field(ge=0, lt=1)
    balance: Literal["none", "sampler", "acquisition", "weights"]
    lr: float = Field(gt=0)
    backbone_lr: float = Field(ge=0, le=1)
    weight_decay: float = Field(ge=0)
    schedule: Literal["plateau", "cosine"]
    warmup: float = Field(ge=0, lt=1)
    plateau_patience: int = Field(ge=1)
    plateau_factor: float = Field(gt=0, lt=1)
    clip: float = Field(ge=0)

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
        local = path == LUNG_ENCODER or (path.parent == PRETRAINED and path.suffix)
        if weights in SOURCES or weights.startswith("hf://") or local:
            return weights
        raise ValueError(
            f"expected {', '.join(SOURCES)}, hf://owner/repo/file, {LUNG_ENCODER}, or a file in {PRETRAINED}/ "
            "(tracked by DVC)"
        )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.mean == "auto") != (self.std == "auto"):
            raise ValueError("one of mean and std is auto; give both, or auto for both")
        if self.keep == "last" and self.patience:
            raise ValueError("patience would stop before the learning rate is annealed; set it to 0, or keep: best")
        return self
