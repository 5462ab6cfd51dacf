"""How a film became a tensor: the facts that ride in the masks, the NPZ, the checkpoint and the bundle.

Two tensors may be compared, and a classifier may be asked about a film, only where these facts are equal.
"""

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from cxr.core.config import Section
from cxr.core.errors import CxrError

SEGMENT_FACTS = "segment.json"  # the first step's facts, in the folder of the masks
Value = bool | int | float | str


class Step(Section):
    """One step of the preparation: whatever decides its result but the film."""

    settings: dict[str, Value]  # of its section of params.yaml
    code: str  # hash of the modules that it reaches
    versions: dict[str, str]  # of the libraries that it calls


class SegmentStep(Step):
    """How the lungs were found."""

    lung_model: str  # content hash of the segmenter's file


class Preparation(Section):
    """Everything between a film's bytes and its tensor."""

    segment: SegmentStep
    preprocess: Step


S = TypeVar("S", bound=Section)


def to_json(facts: Section) -> str:
    """Compact JSON with sorted keys: equal facts give equal text."""
    return json.dumps(facts.model_dump(), sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_json(text: str | bytes, facts: type[S], where: str) -> S:
    """Read what `to_json` wrote; raises CxrError, which begins with `where`, for anything else."""
    try:
        return facts.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "facts"
        raise CxrError(
            f"{where}: no facts of how films were prepared ({key}: {first['msg']}); write it again"
        ) from error


def first_difference(one: Preparation, other: Preparation) -> str:
    """The first fact that differs, such as `preprocess.settings.image_px: 224 against 320`; empty when none does."""
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
