"""metrics.json and metrics/details: all metrics that evaluate writes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.errors import CxrError
from cxr.core.files import write_json
from cxr.decision.operating_point import OperatingPoint, write_operating_point
from cxr.evaluate.calibration import calibration_block, predictive_value_block
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.fit import fit_operating_point
from cxr.evaluate.metrics import PER_CLASS, one_hot
from cxr.evaluate.robustness import check_details, shift_details
from cxr.evaluate.scored import Block, ScoredFilms, rounded, with_reasons
from cxr.evaluate.subgroups import subgroup_details
from cxr.evaluate.table import (
    LOGIT,
    SPLIT_NAMES,
    check_predictions,
    films_of,
    labels,
    put_decisions,
    reported_split,
    scores,
    write_predictions,
)
from cxr.evaluate.task import Binary, Task, task_of
from cxr.segment.table import read_mask_table

MASK_SCORES = ("dice", "iou", "hd95")
AT_THRESHOLD_0_5 = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "npv", "f1", "mcc")
DETAILS = "details"
EARLIER = (
    "data",
    "segmentation",
    "training",
)  # details copied from earlier stages; `python -m cxr metrics` reads them back


def data_details(audit: Path) -> dict[str, Any]:
    """Films and patients by split and class, quarantined, dropped; raises CxrError where there is no audit."""
    try:
        return dict(json.loads(audit.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CxrError(f"{audit}: no readable audit; run `dvc repro ingest` first") from error


def segmentation_details(masks: Path) -> Block:
    """Fallbacks, expected Dice and area of all films; Dice, IoU and HD95 where reference masks exist."""
    table = read_mask_table(masks)
    metrics: Block = {
        "films": len(table),
        "fallbacks": int(table["fallback"].sum()),
        "expected_dice_mean": rounded(float(table["expected_dice"].mean())),
        "expected_dice_worst_5_percent": rounded(float(table["expected_dice"].quantile(0.05))),
        "area_mean": rounded(float(table["area"].mean())),
        "referenced": int(table["dice"].notna().sum()),
    }
    for name in MASK_SCORES:
        scores = table[name].dropna().to_numpy(np.float64)
        if len(scores) == 0:
            metrics |= {name: None, f"{name}_reason": "the cohort has no reference masks"}
            continue
        metrics[name] = rounded(float(scores.mean()))
        metrics[f"{name}_worst_5_percent"] = rounded(float(np.quantile(scores, 0.95 if name == "hd95" else 0.05)))
    return metrics


def performance_details(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Blocks `test` and `validation`, the operating point, and the name of the reported split."""
    splits = {name: split_block(films_of(table, split), point, section) for split, name in SPLIT_NAMES.items()}
    return {
        **splits,
        "operating_point": operating_point_block(point),
        "reported_split": SPLIT_NAMES[reported_split(table)],
    }


def split_block(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Sizes, metrics with intervals, and the blocks of the task."""
    if table.empty:
        return {"films": 0, "reason": "the cohort has no film in this split"}
    films = ScoredFilms(table, point)
    block: Block = {"films": len(table), "patients": int(table["patient_id"].nunique())}
    block |= {f"films_{name}": int((films.label == index).sum()) for index, name in enumerate(point.classes)}
    further = _of_two if isinstance(films.task, Binary) else _of_more
    return block | films.with_intervals(films.task.metrics) | further(films, table, point, section)


def _of_two(films: ScoredFilms, table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Counts, calibration, predictive values by prevalence, and the metrics at threshold 0.5."""
    values, half = films.point_estimates(), ScoredFilms(table, point, threshold=0.5)
    positive, logit = films.label.astype(np.float64), films.logits / point.temperature
    return {
        "counts": {name: int(values[name]) for name in ("tp", "fp", "fn", "tn")},
        "calibration": calibration_block(positive, films.probability, logit, films.patients),
        "prevalence": predictive_value_block(films, section.prevalence),
        "at_threshold_0_5": with_reasons(half.point_estimates(), AT_THRESHOLD_0_5, half.why_undefined),
    }


def _of_more(films: ScoredFilms, table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Metrics of each class against the rest, and the confusion matrix."""
    values, classes = films.point_estimates(), films.task.classes
    per_class = {}
    for index, name in enumerate(classes):
        reasons = {metric: films.why_undefined(f"{index}:{metric}") for metric in PER_CLASS}
        own = {metric: values[f"{index}:{metric}"] for metric in PER_CLASS}
        per_class[name] = with_reasons(own, PER_CLASS, reasons.__getitem__)
    counts = one_hot(films.label, len(classes)).T @ one_hot(films.predicted, len(classes))
    return {
        **{name: rounded(values[name]) for name in ("top3_accuracy", "top5_accuracy") if name in values},
        "per_class": per_class,
        "counts": {
            name: {other: int(counts[i, j]) for j, other in enumerate(classes)} for i, name in enumerate(classes)
        },
    }


def operating_point_block(point: OperatingPoint) -> Block:
    """The operating point, for reports and `dvc metrics diff`."""
    block: Block = {"rule": point.rule}
    if point.threshold is None:
        block |= {"threshold": None, "threshold_reason": "three or more classes: the most probable one is predicted"}
    else:
        block |= {"threshold": rounded(point.threshold)}
        block |= {"threshold_low": point.threshold_low, "threshold_high": point.threshold_high}
        if point.threshold_low is None:
            fixed = point.rule.startswith("fixed")
            varies = "too many resamples of the validation patients have one class only, or all give the same threshold"
            block["threshold_interval_reason"] = "the threshold is fixed" if fixed else varies
    block["temperature"] = rounded(point.temperature)
    return block | ({"temperature_reason": point.temperature_reason} if point.temperature_reason else {})


def metrics_json(task: Task, metrics: Block, shift: Block, segmentation: Block) -> Block:
    """At most 15 scalars of test, validation, its two copies and the lung masks; null for an undefined metric.

    Args:
        task: selects the metrics.
        metrics: as in metrics/details/performance.json.
        shift: as in metrics/details/shift.json.
        segmentation: as in metrics/details/segmentation.json.
    """
    test, validation, main = metrics["test"], metrics["validation"], task.main_metric
    interval = (main, f"{main}_low", f"{main}_high")
    block: Block = {}
    if test["films"]:
        block["test"] = {name: test.get(name) for name in (*interval, *task.short[1:])}
        block["val"] = {name: validation.get(name) for name in interval}
    else:
        block["val"] = {name: validation.get(name) for name in (*interval, *task.short[1:])}
    for copy in ("corrupted", "swapped"):
        if shift[copy]["films"]:
            block[f"{copy}_val"] = {main: shift[copy].get(main)}
    if segmentation["dice"] is not None:
        return block | {"lungs": {"dice": segmentation["dice"]}}
    return block | {"lungs": {"fallbacks": segmentation["fallbacks"]}}


@dataclass(frozen=True)
class EvaluationResult:
    """All results that follow from a table of logits."""

    table: pd.DataFrame  # with calibrated probabilities and decisions
    operating_point: OperatingPoint
    details: dict[str, Block]  # by the name of the file in metrics/details
    metrics: Block  # metrics.json

    def write(self, folder: Path, operating_point_path: Path) -> None:
        """Write predictions.csv, metrics.json and details/ into `folder`, and the operating point."""
        write_predictions(folder / "predictions.csv", self.table)
        for name, block in self.details.items():
            write_json(folder / DETAILS / f"{name}.json", block)
        write_json(folder / "metrics.json", self.metrics)
        write_operating_point(operating_point_path, self.operating_point)


def evaluation_result(
    table: pd.DataFrame,
    fingerprint: str,
    classes: tuple[str, ...],
    section: EvaluateSection,
    earlier: dict[str, Block],
    where: str,
) -> EvaluationResult:
    """Fit the operating point on the validation films, apply it to all films, and compute the metrics.

    Args:
        table: predictions of validation and test films.
        fingerprint: of the classifier's weights.
        classes: the classifier's classes, in the order of their index.
        section: the rule of the threshold, subgroups, bootstrap.
        earlier: metrics of the earlier stages by name: those of EARLIER.
        where: name of the table in errors.

    Raises:
        CxrError: a logit is not finite, there are no validation films, or they do not suffice for the rule.
    """
    check_predictions(table, classes, where)
    films = table[table["split"] == "val"]
    point = fit_operating_point(
        fingerprint,
        classes,
        scores(films, LOGIT, classes),
        labels(films, classes),
        films["patient_id"].tolist(),
        section.threshold,
        section.resamples,
        section.seed,
    )
    decided = put_decisions(table, point)
    details: dict[str, Any] = {
        "performance": performance_details(decided, point, section),
        "checks": check_details(decided, point, section),
        "shift": shift_details(decided, point),
        "subgroups": subgroup_details(decided, point, section),
        **{name: earlier[name] for name in EARLIER},
    }
    metrics = metrics_json(task_of(classes), details["performance"], details["shift"], details["segmentation"])
    return EvaluationResult(decided, point, details, metrics)
