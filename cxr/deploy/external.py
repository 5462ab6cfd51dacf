"""A frozen bundle on labelled films of another source: figures, and how far the films differ from those of training.

Threshold and temperature are those that the bundle stores. Nothing is fitted, nothing is chosen.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxr.bundle.acquisition import STATISTICS, Floats
from cxr.bundle.config import InferenceConfig
from cxr.bundle.reference import Reference
from cxr.core.errors import CxrError
from cxr.deploy.journal import Record
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.details.figures import split_block
from cxr.evaluate.predictions import LOGIT, put_decisions

SPLIT = "test"


def labelled_table(records: Sequence[Record], labels: pd.DataFrame, patients: "pd.Series[str]") -> pd.DataFrame:
    """Answered films that have a label, as evaluation's table of predictions.

    Args:
        records: of all films.
        labels: columns film, label and any others.
        patients: who each row of `labels` is of.
    """
    rows = pd.DataFrame([record.row for record in records])
    answered = rows[rows["refused"] == ""]
    own = labels.assign(patient_id=patients.to_numpy(), image_id=labels["film"], split=SPLIT)
    scores = [name for name in answered.columns if name.startswith(LOGIT)]
    table = own.merge(answered[["film", *scores, "believable"]], on="film", how="inner").drop(columns="film")
    return table.astype(dict.fromkeys(scores, float))


def frozen_figures(table: pd.DataFrame, config: InferenceConfig, section: EvaluateSection) -> dict[str, Any]:
    """Figures with intervals of all labelled films, and of those alone that the bundle did not doubt.

    Raises:
        CxrError: no labelled film was answered.
    """
    if table.empty:
        raise CxrError("no labelled film was answered; see the reasons in the column `refused`")
    point = config.operating_point
    decided = put_decisions(table, point)
    believed = decided[decided["believable"] == "yes"].reset_index(drop=True)
    return {"all": split_block(decided, point, section), "believable": split_block(believed, point, section)}


def drift(records: Sequence[Record], reference: Reference) -> dict[str, dict[str, float]]:
    """How the films' acquisition differs from the training films'.

    For each statistic: its median then and now, the share of films outside the training films' central 98 %, and the
    largest gap between the two distributions (Kolmogorov-Smirnov: 0 alike, 1 apart).
    """
    films = np.array([record.statistics for record in records if record.statistics])
    found = {}
    for at, name in enumerate(STATISTICS):
        now, then = np.sort(films[:, at]), reference.acquisition[:, at]
        outside = (now < then[1]) | (now > then[99])
        found[name] = {
            "training_median": float(then[50]),
            "median": float(np.median(now)),
            "outside": float(outside.mean()),
            "ks": _gap(now, then),
        }
    return found


def _gap(now: Floats, quantiles: Floats) -> float:
    """The largest distance between two distributions: that of sorted values, and one given by its 101 quantiles."""
    at = np.concatenate([now, quantiles])
    return float(np.abs(_share_up_to(at, now) - _share_up_to(at, quantiles)).max())


def _share_up_to(at: Floats, values: Floats) -> Floats:
    return np.searchsorted(values, at, side="right") / len(values)
