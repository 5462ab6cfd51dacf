"""Temperature and threshold, fitted on validation films, kept with the fingerprint of the classifier they belong to."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from cxr.core.errors import CxrError
from cxr.core.files import write_json
from cxr.evaluate.bootstrap import Floats, Indices, patient_weights, percentile_interval
from cxr.evaluate.calibration import calibrated, fit_temperature
from cxr.evaluate.threshold import choose_threshold

ARGMAX = "argmax"


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


def fit_operating_point(
    classifier: str,
    classes: tuple[str, ...],
    logits: Floats,
    labels: Indices,
    patients: list[str],
    rule: str,
    resamples: int,
    seed: int,
) -> OperatingPoint:
    """Fit temperature and threshold on the validation films: logits (films,) or (films, classes), labels (films,).

    Raises:
        CxrError: there are no validation films, or the rule cannot choose on them.
    """
    if len(labels) == 0:
        raise CxrError("data/npz/index.csv: no film with split 'val'; the operating point is fitted on validation only")
    temperature = fit_temperature(logits, labels)
    threshold: float | None = None
    interval = None
    if logits.ndim == 1:
        probability, positive = calibrated(logits, temperature.value), labels.astype(np.float64)
        # Unrounded: it lies between two films' probabilities, which may be closer than any rounding.
        threshold = float(choose_threshold(rule, positive, probability, np.ones((1, len(labels))))[0])
        draws = patient_weights(patients, resamples, seed)
        interval = percentile_interval(
            np.concatenate([choose_threshold(rule, positive, probability, weights) for weights in draws])
        )
        if interval is not None and interval[0] == interval[1]:  # a fixed threshold, or too few patients to vary it
            interval = None
    low, high = (None, None) if interval is None else (round(interval[0], 6), round(interval[1], 6))
    return OperatingPoint(
        classifier, classes, rule if logits.ndim == 1 else ARGMAX, threshold, low, high,
        temperature.value, temperature.reason, "val", len(labels), len(set(patients)),
    )  # fmt: skip


def write_operating_point(path: Path, point: OperatingPoint) -> None:
    """Write it as JSON."""
    write_json(path, asdict(point))


def read_operating_point(path: Path, classifier: str | None = None) -> OperatingPoint:
    """Read it, and check that it belongs to the classifier with this fingerprint.

    Raises:
        CxrError: the file is missing or damaged, or it was fitted for another classifier.
    """
    try:
        point = TypeAdapter(OperatingPoint).validate_python(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise CxrError(f"{path}: no operating point; run `dvc repro evaluate` first") from error
    except (ValueError, ValidationError) as error:
        raise CxrError(f"{path}: no valid operating point; run `dvc repro evaluate` again") from error
    if classifier is not None and point.classifier != classifier:
        raise CxrError(
            f"{path}: fitted for classifier {point.classifier[:12]}, not for {classifier[:12]}; "
            "run `dvc repro evaluate` to fit it again"
        )
    return point
