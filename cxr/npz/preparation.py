"""The preparation: settings, code and versions that turned a film into an image.

It is stored with the masks, in the NPZ, the checkpoint and the bundle. Images are comparable, and a classifier may
score a film, only if their preparations are equal.
"""

import json
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from cxr.core.config import Section
from cxr.core.errors import CxrError

SEGMENT_FACTS = "segment.json"  # the segment step, in the folder of the masks
Value = bool | int | float | str


class Step(Section):
    """One step of the preparation: everything that decides its result except the film."""

    settings: dict[str, Value]  # its section of params.yaml
    code: str  # hash of the modules that it uses
    versions: dict[str, str]  # of the libraries that it uses
    resizing: Literal["whole", "reduced"] = "whole"  # the pixels from which it resizes: the film's, or a reduced film's


class SegmentStep(Step):
    """The segment step: how the lungs were found."""

    lung_model: str  # content hash of the segmenter's file


class Preparation(Section):
    """All steps from a film's bytes to its image."""

    segment: SegmentStep
    preprocess: Step


S = TypeVar("S", bound=Section)


def to_json(facts: Section) -> str:
    """Compact JSON with sorted keys: equal sections give equal text."""
    return json.dumps(facts.model_dump(), sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(text: str | bytes, facts: type[S], where: str) -> S:
    """Parse the output of `to_json`; raises CxrError, prefixed with `where`, for other text."""
    try:
        return facts.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "facts"
        raise CxrError(f"{where}: not a valid preparation ({key}: {first['msg']}); write it again") from error


def first_difference(one: Preparation, other: Preparation) -> str:
    """The first difference, such as `preprocess.settings.image_px: 224 against 320`; empty when they are equal."""
    ones, others = (dict(_flat(facts.model_dump())) for facts in (one, other))
    for name in [*ones, *(name for name in others if name not in ones)]:
        left, right = ones.get(name, "absent"), others.get(name, "absent")
        if left != right:
            return f"{name}: {left} against {right}"
    return ""


def _flat(facts: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in facts.items():
        found += _flat(value, f"{before}{name}.") if isinstance(value, dict) else [(f"{before}{name}", value)]
    return found
