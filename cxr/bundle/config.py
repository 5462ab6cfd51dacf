"""inference_config.yaml: all settings of a bundle, with comments."""

import io
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from cxr.bundle.files import CONFIG
from cxr.bundle.population import NOT_STATED, Population
from cxr.core.config import Section, parse_section, read_yaml
from cxr.core.errors import CxrError
from cxr.core.files import write_text
from cxr.decision.operating_point import OperatingPoint
from cxr.npz.preparation import Preparation
from cxr.preprocess.config import PixelSection
from cxr.segment.config import SegmentSection

HEADER = """\
RESEARCH USE ONLY. Not a medical device; not for diagnosis or treatment of anyone.

How this bundle reads a film: decode it to 8-bit grey, find the lungs (lung_segmenter.onnx, preparation.segment), make
the stored image (preparation.preprocess), score it (classifier.onnx), divide the logit by the temperature, and compare
the calibrated probability with the threshold (operating_point). SHA256SUMS covers this file, so an edit is an error.
"""
COMMENTS = {
    "format": "version of this file's layout",
    "classes": "with two classes, the second is the finding",
    "backbone": "name of the network in timm",
    "image_px": "side of the stored image, pixels",
    "preparation": "from a film's bytes to the stored image",
    "preparation.segment": "settings of the lung masks",
    "preparation.segment.code": "hash of the modules that prepared the training films",
    "preparation.segment.versions": "versions of the libraries that prepared the training films",
    "preparation.segment.resizing": "reduced: from the film at 512 pixels; whole: from all of its pixels",
    "preparation.segment.lung_model": "hash of lung_segmenter.onnx",
    "preparation.segment.settings.seg_on_gray": "true: grey film as input; false: its own colours, if any",
    "preparation.segment.settings.threshold": "lung probability at and above which a pixel is lung",
    "preparation.segment.settings.min_area": "minimum area of both lungs, share of the film; else the whole film",
    "preparation.segment.settings.max_area": "maximum area of both lungs; else fallback to the whole film",
    "preparation.segment.settings.min_lung_ratio": "area of the smaller lung over that of the larger",
    "preparation.segment.settings.max_offset": "of the lungs' centre from the film's, share of the film's side",
    "preparation.segment.settings.min_quality": "minimum expected Dice of a mask; else fallback (the whole film)",
    "preparation.preprocess": "settings of the stored image",
    "preparation.preprocess.code": "hash of the modules that prepared the training films",
    "preparation.preprocess.versions": "versions of the libraries that prepared the training films",
    "preparation.preprocess.resizing": "the same, for the stored image",
    "preparation.preprocess.settings.region": "crop to the lungs, mask (only lungs), none (the whole film)",
    "preparation.preprocess.settings.fit": "squash (fill the square) or letterbox (keep the aspect, black bars)",
    "preparation.preprocess.settings.margin": "around the lungs, share of the longer side of their box",
    "preparation.preprocess.settings.clahe_probability": "share of the films that get CLAHE, drawn by film",
    "preparation.preprocess.settings.blur_sigma": "Gaussian blur, pixels; 0 = off",
    "preparation.preprocess.settings.stretch": "grey levels stretched to 0..255",
    "preparation.preprocess.settings.sharpen": "amount of unsharp masking; 0 = off",
    "preparation.preprocess.settings.colour": "grey (three equal channels) or the film's own colours",
    "operating_point": "from logit to decision; fitted on validation films only",
    "operating_point.classifier": "fingerprint of the weights",
    "operating_point.rule": "rule for the threshold",
    "operating_point.threshold": "calibrated probability at and above which a film is predicted positive",
    "operating_point.threshold_low": "95 % interval over resampled validation patients",
    "operating_point.temperature": "divides the logit before it becomes a probability",
    "operating_point.films": "number of validation films in the fit",
    "ood": "a film beyond the threshold is out of distribution",
    "ood.threshold": "distance from the training films in feature space",
    "ood.quantile": "share of the validation films within the threshold",
    "ood.films": "validation films that set the threshold",
    "probability_bins": "validation films and findings by calibrated probability; two classes only",
    "flags": "reliability flags that this bundle raises, each with its condition",
    "population": "for whom the bundle is meant (acquisition: reference.npz); a film declared otherwise is flagged",
    "population.age": "years, [youngest, oldest], or none",
    "population.views": "DICOM's ViewPosition; empty: not stated",
    "population.description": "in words",
}
FORMAT = 2
READS_OLDER = "732980e"  # the last commit that reads bundles of format 1
MIN_MEANING = 10  # films below which the share of a bin is not reported


class Ood(Section):
    """The distance from the training films beyond which a film is out of distribution."""

    threshold: float = Field(gt=0)
    quantile: float = Field(gt=0, le=1)
    films: int = Field(ge=1)


class ProbabilityBin(Section):
    """Validation films and findings in a range of calibrated probabilities."""

    low: float
    high: float
    films: int
    findings: int  # of these, films of the second class


class BundleFlag(Section):
    """A reliability flag that the bundle raises."""

    code: str
    condition: str


FLAGS = (
    BundleFlag(code="outside_population", condition="the declared age or view is outside the population of the bundle"),
    BundleFlag(code="lung_mask_failed", condition="the lung mask is implausible, or its expected Dice is low"),
    BundleFlag(code="inverted", condition="lung confidence is higher on the negative"),
    BundleFlag(code="turned_right", condition="lung confidence is higher on the film turned back"),
    BundleFlag(code="turned_left", condition="lung confidence is higher on the film turned back"),
    BundleFlag(code="upside_down", condition="lung confidence is higher on the film turned back"),
    BundleFlag(code="not_frontal_chest", condition="lung confidence is low in every orientation"),
    BundleFlag(code="out_of_distribution", condition="the feature distance exceeds ood.threshold"),
    BundleFlag(code="low_resolution", condition="the film has fewer pixels than the stored image"),
)  # flags of this version; a bundle may list fewer, or more of a later version


class InferenceConfig(Section):
    """All settings of a bundle; the comments of this module explain each."""

    format: Literal[2]
    classes: tuple[str, ...] = Field(min_length=2)
    backbone: str
    image_px: int
    preparation: Preparation
    operating_point: OperatingPoint
    ood: Ood
    probability_bins: tuple[ProbabilityBin, ...]
    flags: tuple[BundleFlag, ...]
    population: Population = NOT_STATED

    @property
    def segment(self) -> SegmentSection:
        """Settings of the lung masks and of the fallback."""
        return parse_section(self.preparation.segment.settings, SegmentSection, f"{CONFIG}: preparation.segment")

    @property
    def pixels(self) -> PixelSection:
        """Settings of the stored image."""
        return parse_section(self.preparation.preprocess.settings, PixelSection, f"{CONFIG}: preparation.preprocess")

    def meaning_of(self, probability: float) -> str:
        """The share of findings on validation at this calibrated probability, in words; empty for few films."""
        for one in self.probability_bins:
            if (one.low <= probability < one.high or probability == one.high == 1) and one.films >= MIN_MEANING:
                return (
                    f"of {one.films} validation films between {one.low:.0%} and {one.high:.0%}, "
                    f"{one.findings} were {self.classes[1]}"
                )
        return ""


def write_config(path: Path, config: InferenceConfig) -> None:
    """Write the settings as YAML, each with its explanation."""
    document = _commented(config.model_dump(mode="json"))
    document.yaml_set_start_comment(HEADER)
    yaml, stream = YAML(), io.StringIO()
    yaml.width = 200
    yaml.dump(document, stream)
    write_text(path, stream.getvalue())


def read_config(path: Path) -> InferenceConfig:
    """Read and check the settings; raises CxrError for an invalid key or an older bundle format."""
    values = read_yaml(path)
    if values.get("format") != FORMAT:
        raise CxrError(
            f"{path}: bundle format {values.get('format')}, this version reads {FORMAT}; "
            f"make the bundle again with `dvc repro package`, or read it at commit {READS_OLDER}"
        )
    return parse_section(values, InferenceConfig, str(path))


def _commented(values: dict[str, Any], path: str = "") -> Any:
    document = CommentedMap()
    for name, value in values.items():
        document[name] = _commented(value, f"{path}{name}.") if isinstance(value, dict) else value
        if f"{path}{name}" in COMMENTS:
            document.yaml_add_eol_comment(COMMENTS[f"{path}{name}"], name, column=0)
    return document
