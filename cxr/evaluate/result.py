"""From a table of logits to decisions, operating point and figures: what `make metrics` repeats without a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.core.files import write_json
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.details.checks import check_details
from cxr.evaluate.details.figures import figure_details
from cxr.evaluate.details.shift import shift_details
from cxr.evaluate.details.subgroups import subgroup_details
from cxr.evaluate.fit_operating_point import fit_operating_point
from cxr.evaluate.measure import Block
from cxr.evaluate.metrics_json import metrics_json
from cxr.evaluate.operating_point import OperatingPoint, write_operating_point
from cxr.evaluate.predictions import LOGIT, check_predictions, labels, put_decisions, scores, write_predictions
from cxr.evaluate.task import task_of

DETAILS = "details"
EARLIER = ("data", "segmentation", "training")  # details that evaluation carries over and `make metrics` reads back


@dataclass(frozen=True)
class EvaluationResult:
    """What follows from a table of logits."""

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
    """Fit the operating point on the validation films, decide every film with it, and compute the figures.

    Args:
        table: predictions of validation and test films.
        fingerprint: of the classifier's weights.
        classes: the classifier's classes, in the order of their index.
        section: the rule of the threshold, subgroups, bootstrap.
        earlier: figures of the earlier stages by name: those of EARLIER.
        where: named in errors.

    Raises:
        CxrError: a logit is not finite, there are no validation films, or the rule cannot choose on them.
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
        "figures": figure_details(decided, point, section),
        "checks": check_details(decided, point, section),
        "shift": shift_details(decided, point),
        "subgroups": subgroup_details(decided, point, section),
        **{name: earlier[name] for name in EARLIER},
    }
    metrics = metrics_json(task_of(classes), details["figures"], details["shift"], details["segmentation"])
    return EvaluationResult(decided, point, details, metrics)
