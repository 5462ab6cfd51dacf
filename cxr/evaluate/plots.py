"""Writes the folder of plots: CSVs for `dvc plots`, pictures as PNG."""

from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.files import write_csv
from cxr.evaluate import curves
from cxr.evaluate.arrays import Floats
from cxr.evaluate.decision_curve import decision_curve_table
from cxr.evaluate.operating_point import OperatingPoint
from cxr.evaluate.predictions import LOGIT, labels, scores
from cxr.evaluate.splits import films_of, reported_split
from cxr.evaluate.task import task_of

SPLITS = ("val", "test")


def write_plots(folder: Path, table: pd.DataFrame, point: OperatingPoint, prevalence: float) -> None:
    """Write the CSVs of all curves.

    ROC, PR and reliability have one file a split, so that splits and revisions overlay; the others show the test
    films, or validation where there is no test set. Three or more classes are drawn one-versus-rest, all classes
    pooled (micro-average).
    """
    for split in SPLITS:
        films = table[table["split"] == split]
        positive, score = one_versus_rest(films, point)
        if len(np.unique(positive)) < 2:
            continue  # no curve of one class; metrics.json says so
        write_csv(folder / f"roc_{split}.csv", curves.roc_table(positive, score))
        write_csv(folder / f"pr_{split}.csv", curves.pr_table(positive, score))
        write_csv(folder / f"reliability_{split}.csv", curves.reliability(positive, score))
    films = films_of(table, reported_split(table))
    positive, probability = one_versus_rest(films, point)
    write_csv(folder / "thresholds.csv", curves.thresholds_table(positive, probability))
    write_csv(folder / "scores.csv", curves.histogram_table(positive, probability))
    each = len(positive) // len(films)  # with three or more classes each film counts once a class
    patients = films["patient_id"].repeat(each).tolist()
    write_csv(folder / "decision_curve.csv", decision_curve_table(positive, probability, patients, prevalence))
    called = [point.classes[index] for index in point.decide(point.probability(scores(films, LOGIT, point.classes)))]
    write_csv(folder / "confusion.csv", curves.confusion_table(films["label"].tolist(), called))


def one_versus_rest(films: pd.DataFrame, point: OperatingPoint) -> tuple[Floats, Floats]:
    """Reference (1 or 0) and calibrated probability; with three or more classes each film counts once a class."""
    probability = point.probability(scores(films, LOGIT, point.classes))
    found = task_of(point.classes).one_versus_rest(labels(films, point.classes), probability)
    return np.stack([one[1] for one in found], axis=1).ravel(), np.stack([one[2] for one in found], axis=1).ravel()


def write_learning_curves(path: Path, history: Path) -> None:
    """Copy the training history, one row an epoch, to where `dvc plots` finds it."""
    write_csv(path, pd.read_csv(history).round(6))
