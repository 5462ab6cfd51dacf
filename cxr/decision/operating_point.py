"""From logits to calibrated probabilities and decisions: an operating point is applied here and fitted elsewhere.

Serving imports this module: it needs numpy, and neither statistics nor tables.
"""

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from cxr.core.errors import CxrError
from cxr.core.files import write_json

Floats = np.ndarray[Any, np.dtype[np.float64]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
ARGMAX = "argmax"
_exp = np.frompyfunc(math.exp, 1, 1)  # the C library's: numpy's own differs in the last bit between processors


@dataclass(frozen=True)
class OperatingPoint:
    """How a logit becomes a calibrated probability and a decision. Three or more classes: the likeliest one."""

    classifier: str  # fingerprint of the weights
    classes: tuple[str, ...]
    rule: str  # as evaluate.threshold; `argmax` for three or more classes
    threshold: float | None  # on the calibrated probability of the second class; None with `argmax`
    threshold_low: float | None  # 95 % interval over resampled validation patients
    threshold_high: float | None
    temperature: float  # divisor of the logits
    temperature_reason: str  # why the temperature is 1, where it could not be fitted
    fitted_on: str
    films: int
    patients: int

    def probability(self, logits: Floats) -> Floats:
        """Calibrated probabilities: (films,) for two classes, (films, classes) for more."""
        return calibrated(logits, self.temperature)

    def decide(self, probability: Floats) -> Indices:
        """Class index of each film."""
        if self.threshold is None:
            return np.asarray(probability.argmax(axis=1))
        return np.asarray((probability >= self.threshold).astype(np.int64))


def calibrated(logits: Floats, temperature: float) -> Floats:
    """Probability of the positive class, (films,), or of each class, (films, classes)."""
    scaled = np.asarray(logits, np.float64) / temperature
    if scaled.ndim == 1:
        return sigmoid(scaled)
    shares = np.asarray(_exp(scaled - scaled.max(axis=1, keepdims=True)), np.float64)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def sigmoid(logits: Floats) -> Floats:
    """1 / (1 + e^-x) without overflow."""
    small = np.asarray(_exp(-np.abs(logits)), np.float64)
    return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small))


def write_operating_point(path: Path, point: OperatingPoint) -> None:
    """Write it as JSON."""
    write_json(path, asdict(point))


def parse_operating_point(text: str, where: str) -> OperatingPoint:
    """Read it from JSON text; raises CxrError naming `where` when the text is damaged."""
    try:
        return TypeAdapter(OperatingPoint).validate_python(json.loads(text))
    except (ValueError, ValidationError) as error:
        raise CxrError(f"{where}: no valid operating point; run `dvc repro evaluate` again") from error


def read_operating_point(path: Path, classifier: str | None = None) -> OperatingPoint:
    """Read it, and check that it belongs to the classifier with this fingerprint.

    Raises:
        CxrError: the file is missing or damaged, or it was fitted for another classifier.
    """
    if not path.is_file():
        raise CxrError(f"{path}: no operating point; run `dvc repro evaluate` first")
    point = parse_operating_point(path.read_text(encoding="utf-8"), str(path))
    if classifier is not None and point.classifier != classifier:
        raise CxrError(
            f"{path}: fitted for classifier {point.classifier[:12]}, not for {classifier[:12]}; "
            "run `dvc repro evaluate` to fit it again"
        )
    return point
