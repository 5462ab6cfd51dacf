"""Fits temperature and threshold on validation films; `operating_point` applies them."""

import numpy as np

from cxr.core.errors import CxrError
from cxr.evaluate.arrays import Floats, Indices
from cxr.evaluate.bootstrap import patient_weights, percentile_interval
from cxr.evaluate.calibration import fit_temperature
from cxr.evaluate.operating_point import ARGMAX, OperatingPoint, calibrated
from cxr.evaluate.threshold import choose_threshold

DIGITS = 6  # of the temperature and of the threshold's interval


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
    fitted = fit_temperature(logits, labels)
    # Rounded, because the search ends within 1e-6 of the best and its last digits differ between processors.
    temperature = round(fitted.value, DIGITS) or fitted.value
    threshold: float | None = None
    interval = None
    if logits.ndim == 1:
        probability, positive = calibrated(logits, temperature), labels.astype(np.float64)
        # Not rounded: it lies between two films' probabilities, which may be closer than any rounding.
        threshold = float(choose_threshold(rule, positive, probability, np.ones((1, len(labels))))[0])
        draws = patient_weights(patients, resamples, seed)
        interval = percentile_interval(
            np.concatenate([choose_threshold(rule, positive, probability, weights) for weights in draws])
        )
        if interval is not None and interval[0] == interval[1]:  # a fixed threshold, or too few patients to vary it
            interval = None
    low, high = (None, None) if interval is None else (round(interval[0], DIGITS), round(interval[1], DIGITS))
    return OperatingPoint(
        classifier, classes, rule if logits.ndim == 1 else ARGMAX, threshold, low, high,
        temperature, fitted.reason, "val", len(labels), len(set(patients)),
    )  # fmt: skip
