"""Sections for tests: the values of params.yaml and compute.yaml, some of them changed."""

from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from cxr.aws.config import SageMakerSection
from cxr.core.config import Section, read_yaml
from cxr.evaluate.config import EvaluateSection
from cxr.ingest.config import DataSection
from cxr.preprocess.config import PreprocessSection
from cxr.runtime.compute import Compute
from cxr.segment.config import SegmentSection
from cxr.train.config import AugmentSection, TrainSection
from demo.config import DemoSection

ROOT = Path(__file__).parents[1]
NAMES: dict[type[Section], str] = {
    DemoSection: "demo",
    DataSection: "data",
    SegmentSection: "segment",
    PreprocessSection: "preprocess",
    TrainSection: "train",
    EvaluateSection: "evaluate",
}
S = TypeVar("S", bound=Section)


def section(model: type[S], **changes: Any) -> S:
    """A section of params.yaml with some values changed."""
    return model.model_validate(_merged(_document("params.yaml")[NAMES[model]], changes))


def segmentation(**changes: Any) -> SegmentSection:
    """Bounds that the test segmenter's masks keep, whatever params.yaml recommends, some of them changed."""
    fixed = {"seg_on_gray": True, "threshold": 0.5, "min_area": 0.08, "max_area": 0.75}
    fixed |= {"min_lung_ratio": 0.25, "max_offset": 0.25, "min_quality": 0.5}
    return SegmentSection.model_validate(fixed | changes)


def augmentation(**changes: Any) -> AugmentSection:
    """`train.augment` of params.yaml with some values changed."""
    return AugmentSection.model_validate(_merged(_document("params.yaml")["train"]["augment"], changes))


def machine(**changes: Any) -> Compute:
    """compute.yaml with some values changed."""
    return Compute.model_validate(_merged(_document("compute.yaml"), changes))


def sagemaker(**changes: Any) -> SageMakerSection:
    """The sagemaker section of compute.yaml with some values changed."""
    return SageMakerSection.model_validate(_merged(_document("compute.yaml")["sagemaker"], changes))


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """As `dvc exp run -S columns.path=file` does it: a changed key leaves its neighbours alone."""
    changed = {
        name: _merged(values[name], value) if isinstance(value, dict) and name in values else value
        for name, value in changes.items()
    }
    return {**values, **changed}


@cache
def _document(name: str) -> dict[str, Any]:
    return read_yaml(ROOT / name)
