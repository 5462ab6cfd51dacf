"""metrics/details/figures.json: every figure of test and validation films, with its interval."""

import numpy as np
import pandas as pd

from cxr.evaluate import multiclass
from cxr.evaluate.calibration import one_hot
from cxr.evaluate.calibration_line import calibration_block
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.measure import Block, Films, rounded, with_reasons
from cxr.evaluate.operating_point import OperatingPoint
from cxr.evaluate.predictive_values import predictive_value_block
from cxr.evaluate.splits import SPLIT_NAMES, films_of, reported_split
from cxr.evaluate.task import Binary

AT_HALF = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "npv", "f1", "mcc")


def figure_details(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Blocks `test` and `validation`, the operating point, and the name of the split that counts."""
    splits = {name: split_block(films_of(table, split), point, section) for split, name in SPLIT_NAMES.items()}
    return {
        **splits,
        "operating_point": operating_point_block(point),
        "reported_split": SPLIT_NAMES[reported_split(table)],
    }


def split_block(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Sizes, figures with intervals, and what the task adds."""
    if table.empty:
        return {"films": 0, "reason": "the cohort has no film in this split"}
    films = Films(table, point)
    block: Block = {"films": len(table), "patients": int(table["patient_id"].nunique())}
    block |= {f"films_{name}": int((films.label == index).sum()) for index, name in enumerate(point.classes)}
    further = _of_two if isinstance(films.task, Binary) else _of_more
    return block | films.with_intervals(films.task.figures) | further(films, table, point, section)


def _of_two(films: Films, table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Counts, calibration, predictive values by prevalence, and the figures at 0.5."""
    values, half = films.plain(), Films(table, point, threshold=0.5)
    positive, logit = films.label.astype(np.float64), films.logits / point.temperature
    return {
        "counts": {name: int(values[name]) for name in ("tp", "fp", "fn", "tn")},
        "calibration": calibration_block(positive, films.probability, logit, films.patients),
        "prevalence": predictive_value_block(films, section.prevalence),
        "at_half": with_reasons(half.plain(), AT_HALF, half.why_undefined),
    }


def _of_more(films: Films, table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Figures of each class against the rest, and the confusion matrix."""
    values, classes = films.plain(), films.task.classes
    per_class = {}
    for index, name in enumerate(classes):
        reasons = {figure: films.why_undefined(f"{index}:{figure}") for figure in multiclass.PER_CLASS}
        own = {figure: values[f"{index}:{figure}"] for figure in multiclass.PER_CLASS}
        per_class[name] = with_reasons(own, multiclass.PER_CLASS, reasons.__getitem__)
    counts = one_hot(films.label, len(classes)).T @ one_hot(films.called, len(classes))
    return {
        **{name: rounded(values[name]) for name in ("top3_accuracy", "top5_accuracy") if name in values},
        "per_class": per_class,
        "counts": {
            name: {other: int(counts[i, j]) for j, other in enumerate(classes)} for i, name in enumerate(classes)
        },
    }


def operating_point_block(point: OperatingPoint) -> Block:
    """The operating point, so that a change of it shows in the report."""
    block: Block = {"rule": point.rule}
    if point.threshold is None:
        block |= {"threshold": None, "threshold_reason": "three or more classes: the likeliest is called"}
    else:
        block |= {"threshold": rounded(point.threshold)}
        block |= {"threshold_low": point.threshold_low, "threshold_high": point.threshold_high}
        if point.threshold_low is None:
            fixed = point.rule.startswith("fixed")
            varies = "too many resamples of the validation patients hold one class only, or all choose the same"
            block["threshold_interval_reason"] = "the threshold was given" if fixed else varies
    block["temperature"] = rounded(point.temperature)
    return block | ({"temperature_reason": point.temperature_reason} if point.temperature_reason else {})
