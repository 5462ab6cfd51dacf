"""From a table of logits to decisions, operating point and metrics: what `make metrics` repeats without a model."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxr.core.files import write_json
from cxr.evaluate.blocks import metrics_document, subgroups_document
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.fit_operating_point import fit_operating_point
from cxr.evaluate.operating_point import OperatingPoint, write_operating_point
from cxr.evaluate.predictions import LOGIT, check_predictions, labels, put_decisions, scores, write_predictions
from cxr.evaluate.summary import Block


@dataclass(frozen=True)
class Conclusion:
    """What follows from a table of logits."""

    table: pd.DataFrame  # with calibrated probabilities and decisions
    point: OperatingPoint
    metrics: Block
    subgroups: Block

    def write(self, folder: Path, point_at: Path) -> None:
        """Write predictions.csv, metrics.json and subgroups.json into `folder`, and the operating point."""
        write_predictions(folder / "predictions.csv", self.table)
        write_json(folder / "metrics.json", self.metrics)
        write_json(folder / "subgroups.json", self.subgroups)
        write_operating_point(point_at, self.point)


def conclude(
    table: pd.DataFrame, fingerprint: str, classes: tuple[str, ...], section: EvaluateSection, where: str
) -> Conclusion:
    """Fit the operating point on the validation films, decide every film with it, and compute the metrics.

    Args:
        table: predictions of validation and test films.
        fingerprint: of the classifier's weights.
        classes: the classifier's classes, in the order of their index.
        section: the rule of the threshold, subgroups, bootstrap.
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
    return Conclusion(
        decided, point, metrics_document(decided, point, section), subgroups_document(decided, point, section)
    )
