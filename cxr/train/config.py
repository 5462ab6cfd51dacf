"""The `train` section of params.yaml: all of the recipe."""

from typing import Literal, Self

from pydantic import Field, model_validator

from cxr.core.config import Section

Monitor = Literal["val_auroc", "stressed_auroc", "mean_auroc", "val_loss", "stressed_loss", "mean_loss"]


class AugmentSection(Section):
    """Random changes to training films, drawn anew for each film and epoch. Validation films never get them."""

    rotation: float = Field(10.0, ge=0, le=180, description="degrees, to either side")
    crop_scale: float = Field(0.7, gt=0, le=1, description="smallest share of the area that a random crop keeps; 1=off")
    crop_ratio: float = Field(1.2, ge=1, le=2, description="largest aspect ratio of the crop before it is resized")
    flip: float = Field(0.5, ge=0, le=1, description="probability of a left-right flip")
    brightness: float = Field(0.15, ge=0, le=1, description="largest shift, share of the grey scale")
    contrast: float = Field(0.25, ge=0, lt=1, description="largest relative change about the film's mean")
    gamma: float = Field(0.3, ge=0, lt=1, description="largest |log2| of the exponent")
    clahe: float = Field(0.0, ge=0, le=1, description="probability of CLAHE")
    clahe_clip: float = Field(2.0, gt=0, description="contrast limit of CLAHE")
    blur: float = Field(0.2, ge=0, le=1, description="probability of Gaussian blur")
    blur_sigma: float = Field(1.5, gt=0, le=10, description="largest sigma, pixels")
    noise: float = Field(0.2, ge=0, le=1, description="probability of Gaussian noise")
    noise_std: float = Field(8.0, gt=0, le=128, description="largest standard deviation, grey levels of 255")
    erasing: float = Field(0.1, ge=0, le=1, description="probability that a rectangle is erased")
    erasing_area: float = Field(0.15, gt=0, lt=1, description="largest share of the film that is erased")


class TrainSection(Section):
    """How the classifier is trained. What a run needs of the data (classes, image size) comes with the NPZ set."""

    backbone: str = Field("tf_efficientnet_lite0", description="any timm model")
    weights: str = Field("package", description="package | imagenet | hf://owner/repo/file | a path | none")
    min_loaded: float = Field(0.9, ge=0, le=1, description="least share of the backbone that `weights` must fill")
    mask_channel: Literal["none", "concat", "multiply"] = "none"
    dropout: float = Field(0.3, ge=0, lt=1)

    epochs: int = Field(100, ge=1, description="at most")
    patience: int = Field(10, ge=1, description="epochs without a better monitored metric before training stops")
    monitor: Monitor = "mean_auroc"
    batch: int = Field(32, ge=1, description="films a step, over all devices")
    accumulate: int = Field(1, ge=1, description="batches whose gradients make one optimizer step")

    loss: Literal["bce", "cross_entropy"] = "bce"
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    balance: Literal["none", "sampler", "weights"] = "none"
    lr: float = Field(1e-4, gt=0, description="learning rate of AdamW")
    weight_decay: float = Field(1e-2, ge=0, description="of AdamW, not for biases and normalisation")
    schedule: Literal["plateau", "cosine"] = "cosine"
    warmup: float = Field(1.0, ge=0, description="epochs of linear warm-up")
    plateau_patience: int = Field(3, ge=1, description="epochs without a better monitored metric before lr drops")
    plateau_factor: float = Field(0.3, gt=0, lt=1)
    clip: float = Field(1.0, ge=0, description="largest norm of the gradient; 0=off")
    ema: float = Field(0.0, ge=0, lt=1, description="decay a step of averaged weights; 0=off")

    amp: Literal["auto", "bf16", "fp16", "off"] = Field("auto", description="auto: bf16 or fp16 on a GPU, off on CPU")
    compile: bool = Field(False, description="torch.compile; pays on a GPU in long runs")
    deterministic: bool = Field(False, description="deterministic GPU kernels; CPU runs always repeat bit for bit")
    seed: int = Field(13, ge=0)
    augment: AugmentSection = AugmentSection()

    @model_validator(mode="after")
    def _warmup_ends(self) -> Self:
        if self.warmup >= self.epochs and self.warmup > 0:
            raise ValueError(f"warmup ({self.warmup}) must be shorter than epochs ({self.epochs})")
        return self
