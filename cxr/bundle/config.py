"""inference_config.yaml: all settings of a bundle, with comments."""

import io
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from cxr.bundle.files import CONFIG
from cxr.core.config import Section, parse_section, read_yaml
from cxr.core.files import write_text
from cxr.decision.operating_point import OperatingPoint
from cxr.npz.preparation import Preparation
from cxr.preprocess.config import PixelSection
from cxr.segment.config import SegmentSection

HEADER = """\
RESEARCH USE ONLY. Not a medical device; not for diagnosis or treatment of anyone.

How this bundle reads a film: decode it to 8-bit grey, find the lungs (lung_segmenter.onnx, preparation.segment), make
the stored image (preparation.preprocess), score it (classifier.onnx), divide the logit by the temperature, and compare
the calibrated probability with the threshold (operating_point). SHA256SUMS covers this file: an edit is noticed.
"""
COMMENTS = {
    "format": "version of this file's layout",
    "classes": "of two, the second is the finding",
    "backbone": "name of the network in timm",
    "image_px": "side of the stored image, pixels",
    "preparation": "from a film's bytes to the stored image",
    "preparation.segment": "how the lungs are found",
    "preparation.segment.code": "hash of the modules that did it for the training films",
    "preparation.segment.versions": "of the libraries that did it for the training films",
    "preparation.segment.lung_model": "hash of lung_segmenter.onnx",
    "preparation.segment.settings.seg_on_gray": "true: the network sees the grey film; false: its own colours, if any",
    "preparation.segment.settings.threshold": "probability of lung from which a pixel counts",
    "preparation.segment.settings.min_area": "of both lungs, share of the film; outside, the whole film is the mask",
    "preparation.segment.settings.max_area": "the same, upwards",
    "preparation.segment.settings.min_lung_ratio": "area of the smaller lung over that of the larger",
    "preparation.segment.settings.max_offset": "of the lungs' centre from the film's, share of the film's side",
    "preparation.segment.settings.min_quality": "Dice to expect of a mask; with less, the whole film is the mask",
    "preparation.preprocess": "how the stored image is made from film and lungs",
    "preparation.preprocess.code": "hash of the modules that did it for the training films",
    "preparation.preprocess.versions": "of the libraries that did it for the training films",
    "preparation.preprocess.settings.region": "crop to the lungs, mask (only lungs), none (the whole film)",
    "preparation.preprocess.settings.fit": "squash (fill the square) or letterbox (keep the aspect, black bars)",
    "preparation.preprocess.settings.margin": "around the lungs, share of the longer side of their box",
    "preparation.preprocess.settings.clahe_probability": "share of the films that get CLAHE, drawn by film",
    "preparation.preprocess.settings.blur_sigma": "Gaussian blur, pixels; 0 = off",
    "preparation.preprocess.settings.stretch": "grey levels stretched to 0..255",
    "preparation.preprocess.settings.sharpen": "amount of unsharp masking; 0 = off",
    "preparation.preprocess.settings.colour": "grey (three equal channels) or the film's own colours",
    "operating_point": "from logit to decision; fitted on validation films only",
    "operating_point.classifier": "fingerprint of the weights that it belongs to",
    "operating_point.rule": "how the threshold was chosen",
    "operating_point.threshold": "calibrated probability from which the finding is called",
    "operating_point.threshold_low": "95 % interval over resampled validation patients",
    "operating_point.temperature": "divides the logit before it becomes a probability",
    "operating_point.films": "validation films that it was fitted on",
    "familiar": "when a film is unlike those that the classifier was trained on",
    "familiar.limit": "largest familiar distance in feature space",
    "familiar.share": "of the validation films, which lie within the limit",
    "familiar.films": "validation films that set the limit",
    "meaning": "films and findings of validation by calibrated probability; two classes only",
}
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
    """All settings of a bundle; `cxr.bundle.config` says what each means."""

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
