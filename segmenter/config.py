"""The sections of segmenter/params.yaml, which gives each parameter its value and says what it means."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from cxr.core.config import Section
from cxr.segment.config import MaskQuality

PARAMS = Path("segmenter/params.yaml")
WORK = Path("segmenter/work")  # outs that DVC keeps
RESUME = Path(".cache/segmenter")  # checkpoints of runs under way, outside of the outs, which DVC removes first
METRICS = Path("segmenter/metrics")
PLOTS = Path("segmenter/plots")


class DatasetSection(Section):
    """One data set of films with lung masks."""

    patient: str
    use: Literal["train", "test"]


class PrepareSection(Section):
    """Which films, in which frame, in which split."""

    root: Path
    datasets: dict[str, DatasetSection]
    frame_px: int = Field(ge=64, le=2048)
    film_px: int = Field(ge=32, le=1024)
    val_share: float = Field(gt=0, lt=0.5)
    test_share: float = Field(gt=0, lt=0.5)
    seed: int


class FitSection(Section):
    """One run of the optimiser."""

    inner_px: int = Field(ge=32, le=1024, multiple_of=32)
    early_px: int = Field(ge=32, le=1024, multiple_of=32)
    early_epochs: int = Field(ge=0)
    epochs: int = Field(ge=1)
    batch: int = Field(ge=1)
    lr: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    frozen_blocks: int = Field(ge=0, le=7)
    precision: Literal["bf16-mixed", "32-true"]
    seed: int


class ScreenSection(FitSection):
    """Search for bad masks: each film is predicted by a network that never saw its patient."""

    folds: int = Field(ge=2)
    min_dice: float = Field(ge=0, le=1)


class TrainSection(FitSection):
    """The network that ships."""


class EvaluateSection(Section):
    """How the held-out films are scored."""

    bootstrap: int = Field(ge=100)
    corrupted_films: int = Field(ge=1)
    resolutions: list[int]
    seed: int


class ExportSection(Section):
    """The ONNX file in floating point."""

    opset: int = Field(ge=17)
    version: str


class QuantiseSection(Section):
    """The ONNX file in integers, which ships."""

    films: int = Field(ge=1)
    version: str
    quality: MaskQuality
