"""From a table of logits to decisions, operating point and metrics: what `make metrics` repeats without a model."""

import pandas as pd

from cxr.evaluation.blocks import metrics_document
from cxr.evaluation.config import EvaluateSection
from cxr.evaluation.operating_point import OperatingPoint, fit_operating_point
from cxr.evaluation.predictions import LOGIT, check_predictions, labels, put_decisions, scores
from cxr.evaluation.summary import Block


def conclude(
    table: pd.DataFrame, fingerprint: str, classes: tuple[str, ...], section: EvaluateSection, where: str
) -> tuple[pd.DataFrame, OperatingPoint, Block]:
    """Fit the operating point on the validation films, decide every film with it, and compute metrics.json.

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
    return put_decisions(table, point), point, metrics_document(table, point, section)
