"""inference_config.yaml: how a bundle reads a film, for the code and for a person."""

import io
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from cxr.bundle.comments import COMMENTS, HEADER
from cxr.bundle.files import CONFIG
from cxr.core.config import Section, parse_section, read_yaml
from cxr.core.files import write_text
from cxr.evaluate.operating_point import OperatingPoint
from cxr.npz.preparation import Preparation
from cxr.preprocess.config import PixelSection
from cxr.segment.config import SegmentSection

WITHOUT_QUALITY = {"min_quality": 0.0}  # of a bundle from before masks had a score: none fell back for it
MIN_MEANING = 10  # films of a bin below which its share says nothing


class Familiar(Section):
    """Which films lie too far from the training films to be believed."""

    limit: float = Field(gt=0)
    share: float = Field(gt=0, le=1)
    films: int = Field(ge=1)


class Bin(Section):
    """What a range of calibrated probabilities meant on validation films."""

    low: float
    high: float
    films: int
    findings: int  # of these, films of the second class


class InferenceConfig(Section):
    """All settings of a bundle; `cxr.bundle.comments` says what each means."""

    format: Literal[1]
    classes: tuple[str, ...] = Field(min_length=2)
    backbone: str
    image_px: int
    preparation: Preparation
    operating_point: OperatingPoint
    familiar: Familiar
    meaning: tuple[Bin, ...]

    @property
    def segment(self) -> SegmentSection:
        """How lungs are found, and when they are not believed."""
        values = WITHOUT_QUALITY | self.preparation.segment.settings
        return parse_section(values, SegmentSection, f"{CONFIG}: preparation.segment")

    @property
    def pixels(self) -> PixelSection:
        """How the stored image is made from film and lungs."""
        return parse_section(self.preparation.preprocess.settings, PixelSection, f"{CONFIG}: preparation.preprocess")

    def meaning_of(self, probability: float) -> str:
        """What films of this calibrated probability turned out to be on validation; empty where too few had it."""
        for one in self.meaning:
            if (one.low <= probability < one.high or probability == one.high == 1) and one.films >= MIN_MEANING:
                return (
                    f"of {one.films} validation films between {one.low:.0%} and {one.high:.0%}, "
                    f"{one.findings} were {self.classes[1]}"
                )
        return ""


def write_config(path: Path, config: InferenceConfig) -> None:
    """Write the settings as YAML, each with what it means beside it."""
    document = _commented(config.model_dump(mode="json"))
    document.yaml_set_start_comment(HEADER)
    yaml, stream = YAML(), io.StringIO()
    yaml.width = 200
    yaml.dump(document, stream)
    write_text(path, stream.getvalue())


def read_config(path: Path) -> InferenceConfig:
    """Read and check the settings; raises CxrError naming the key at fault."""
    return parse_section(read_yaml(path), InferenceConfig, str(path))


def _commented(values: dict[str, Any], path: str = "") -> Any:
    document = CommentedMap()
    for name, value in values.items():
        document[name] = _commented(value, f"{path}{name}.") if isinstance(value, dict) else value
        if f"{path}{name}" in COMMENTS:
            document.yaml_add_eol_comment(COMMENTS[f"{path}{name}"], name, column=0)
    return document
