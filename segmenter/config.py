"""The sections of segmenter/params.yaml."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from cxr.core.config import Section

PARAMS = Path("segmenter/params.yaml")
WORK = Path("segmenter/work")  # outs that DVC keeps
RESUME = Path(".cache/segmenter")  # checkpoints of runs under way, outside of the outs, which DVC removes first
METRICS = Path("segmenter/metrics")
PLOTS = Path("segmenter/plots")


class DatasetSection(Section):
    """One folder `<root>/<name>/` with `images/` and `masks/` below it."""

    patient: str = Field(description="regular expression; what it matches in a file's stem is the patient")
    use: Literal["train", "test"] = Field(description="train: split by patient; test: never trained on")


class PrepareSection(Section):
    """Which films, in which frame, in which split."""

    root: Path
    datasets: dict[str, DatasetSection]
    frame_px: int = Field(ge=64, le=2048, description="side of the letterbox, as in the segment stage")
    film_px: int = Field(ge=32, le=1024, description="side of the films kept for training")
    val_share: float = Field(gt=0, lt=0.5, description="share of patients")
    test_share: float = Field(gt=0, lt=0.5, description="share of patients")
    seed: int = 0


class FitSection(Section):
    """One run of the optimiser."""

    inner_px: int = Field(ge=32, le=1024, multiple_of=32, description="side that the network sees")
    early_px: int = Field(ge=32, le=1024, multiple_of=32, description="side in the first epochs, which cost less")
    early_epochs: int = Field(ge=0)
    epochs: int = Field(ge=1, description="all, with the early ones")
    batch: int = Field(ge=1, description="films a step")
    lr: float = Field(gt=0, description="peak of the one-cycle schedule")
    weight_decay: float = Field(ge=0)
    frozen_blocks: int = Field(ge=0, le=7, description="encoder blocks kept as ImageNet left them, stem included")
    precision: Literal["bf16-mixed", "32-true"] = "32-true"
    seed: int = 0


class ScreenSection(FitSection):
    """Search for bad masks: each film is predicted by a network that never saw its patient."""

    folds: int = Field(ge=2)
    min_dice: float = Field(ge=0, le=1, description="a training film below is left out")


class TrainSection(FitSection):
    """The network that ships."""


class EvaluateSection(Section):
    """How the held-out films are scored."""

    bootstrap: int = Field(ge=100, description="resamples of patients behind each 95 % interval")
    stress_films: int = Field(ge=1, description="films of each data set in the tables of stress and resolution")
    resolutions: list[int] = Field(description="sides of the network's input to compare, pixels, multiples of 32")
    seed: int = 0


class ExportSection(Section):
    """The ONNX file."""

    opset: int = Field(ge=17)
    version: str = Field(description="version of the model, told in its metadata")
