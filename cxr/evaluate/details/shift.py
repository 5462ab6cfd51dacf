"""metrics/details/shift.json: the classifier on validation films that were, or might have been, taken differently.

Plain validation films come from where the training films come from, and cannot see a classifier that has learned how
normal and ill films were taken. Three views of the same films can:

- `corrupted`: a copy with another exposure, crop, sharpness and noise;
- `swapped`: a copy with the exposure, contrast and sharpness of a film of the other class;
- `conflicting`: the films of each class whose acquisition is least like that class's, as they are: so many that
  among them acquisition tells the label no better than a coin.

Each view has the figure of the HOG baseline, too (`auroc_hog`): the peer that the network must beat there.
"""

import numpy as np
import pandas as pd

from cxr.evaluate.arrays import Floats, Indices
from cxr.evaluate.details.checks import hog_films
from cxr.evaluate.measure import Block, Films, rounded
from cxr.evaluate.operating_point import OperatingPoint
from cxr.evaluate.predictions import ACQUISITION, labels, scores, with_score
from cxr.evaluate.splits import films_of
from cxr.evaluate.task import Binary, task_of
from cxr.films.acquisition_score import conflicting, told

AT_THRESHOLD = ("sensitivity", "specificity", "ece")


def shift_details(table: pd.DataFrame, point: OperatingPoint) -> Block:
    """Figures of each view at the stored operating point, and what acquisition alone says of the label."""
    validation = films_of(table, "val")
    views = {
        "plain": validation,
        "corrupted": films_of(table, "corrupted"),
        "swapped": films_of(table, "swapped"),
        "conflicting": conflicting_films(validation, point.classes),
    }
    label, logits = _acquisition(with_score(validation, ACQUISITION, point.classes), point.classes)
    auroc = rounded(told(label, logits)) if len(np.unique(label)) > 1 else None
    return {"acquisition_auroc": auroc} | {name: _figures(films, point) for name, films in views.items()}


def conflicting_films(validation: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """The films whose acquisition speaks against their label; none where it was not scored."""
    scored = with_score(validation, ACQUISITION, classes)
    return scored[conflicting(*_acquisition(scored, classes))].reset_index(drop=True)


def _acquisition(films: pd.DataFrame, classes: tuple[str, ...]) -> tuple[Indices, Floats]:
    """Places of the classes (films,), and the logit of each class against all others (films, classes)."""
    logits = scores(films, ACQUISITION, classes) if len(films) else np.empty((0, len(classes)))
    return labels(films, classes), np.column_stack([-logits, logits]) if logits.ndim == 1 else logits


def _figures(films: pd.DataFrame, point: OperatingPoint) -> Block:
    if films.empty:
        return {
            "films": 0,
            "reason": "there are no such films: they need validation films, and acquisition that errs",
        }
    task = task_of(point.classes)
    names = (task.main_figure, *(AT_THRESHOLD if isinstance(task, Binary) else ("accuracy",)))
    block: Block = {"films": len(films), "patients": int(films["patient_id"].nunique())}
    block |= Films(films, point).with_intervals(names)
    hog, name = hog_films(films, point), task.main_figure
    if hog is None:
        return block
    return block | {key.replace(name, f"{name}_hog", 1): value for key, value in hog.with_intervals((name,)).items()}
