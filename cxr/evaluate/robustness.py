"""Robustness: occlusion tests, baselines, and views of the validation films."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cxr.acquisition.score import bias_conflicting, ovr_auroc
from cxr.decision.operating_point import OperatingPoint
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.intervals import Floats, Indices, Sample, leave_out_weights, plain_interval, standard_error
from cxr.evaluate.metrics import Scored, binary_metrics
from cxr.evaluate.scored import Block, ScoredFilms, interval_entries, rounded, with_reasons
from cxr.evaluate.table import (
    ACQUISITION,
    HOG,
    HOG_LUNGS_MASKED,
    LOGIT,
    LUNG_AREA,
    LUNG_SHARE,
    LUNGS_MASKED,
    LUNGS_ONLY,
    SPLIT_NAMES,
    films_of,
    labels,
    reported_split,
    scores,
    with_score,
)
from cxr.evaluate.task import Binary, task_of

ALL_POSITIVE = ("auroc", "auprc", "accuracy", "precision", "f1")
AT_THRESHOLD = ("sensitivity", "specificity", "ece")


def check_details(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Occlusion tests and baselines of the test films, or of validation where there is no test set."""
    split = reported_split(table)
    films = films_of(table, split)
    return {
        "split": SPLIT_NAMES[split],
        "shortcuts": shortcut_block(films, point, section),
        "baselines": baseline_block(films, point, section),
    }


def shortcut_block(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Metrics with masked lungs and with lungs only, and the lung share, each with its chance level."""
    task = task_of(point.classes)
    name = task.main_metric
    block: Block = {f"{name}_chance": task.chance}
    off = "" if section.shortcuts else "evaluate.shortcuts is off"
    for score, title, why in (
        (LOGIT, name, off),
        (LUNGS_MASKED, f"{name}_lungs_masked", off),
        (LUNGS_ONLY, f"{name}_lungs_only", off),
        (HOG_LUNGS_MASKED, f"{name}_hog_lungs_masked", off if section.baseline else "evaluate.baseline is off"),
    ):
        films = with_score(table, score, point.classes)
        if films.empty:
            block |= {title: None, f"{title}_reason": why or "no film has a lung mask"}
            continue
        found = ScoredFilms(films, point, score).with_intervals((name,))
        block |= {key.replace(name, title, 1): value for key, value in found.items()}
        if len(films) < len(table):
            block[f"{title}_missing"] = len(table) - len(films)
    return block | lung_share_block(table, point)


def lung_share_block(table: pd.DataFrame, point: OperatingPoint) -> Block:
    """Mean share of the Grad-CAM mass inside the lungs, of all films and by reference class.

    `lung_share_chance` is the mean share of the film covered by the lungs of the same films, that is, the lung share of
    evenly spread evidence.
    """
    if LUNG_SHARE not in table.columns or not bool(table[LUNG_SHARE].notna().any()):
        return {LUNG_SHARE: None, f"{LUNG_SHARE}_reason": "no film has a Grad-CAM and a lung mask"}
    films = table[table[LUNG_SHARE].notna()]
    block: Block = {
        LUNG_SHARE: rounded(float(films[LUNG_SHARE].mean())),
        f"{LUNG_SHARE}_chance": rounded(float(films[LUNG_AREA].mean())),
    }
    for name in point.classes:
        title = f"{LUNG_SHARE}_{name}"
        block[title] = rounded(float(films.loc[films["label"] == name, LUNG_SHARE].mean()))
        if block[title] is None:
            block[f"{title}_reason"] = f"no film of class {name} has a Grad-CAM and a lung mask"
    missing = len(table) - len(films)
    return block | ({f"{LUNG_SHARE}_missing": missing} if missing else {})


def baseline_block(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Baselines: every film predicted positive, and logistic regression on HOG and histogram.

    `gain` is the classifier's main metric minus the baseline's, with its interval over patients.
    """
    own = ScoredFilms(table, point)
    name = own.task.main_metric
    block: Block = {"all_positive": _all_positive(own)} if isinstance(own.task, Binary) else {}
    hog = hog_films(table, point)
    if hog is None:
        reason = "the training films lack a class" if section.baseline else "evaluate.baseline is off"
        return block | {"hog_logistic": {"reason": reason}}
    found = hog.with_intervals((name, "accuracy"))
    found["gain"] = rounded(own.point_estimates()[name] - hog.point_estimates()[name])
    if found["gain"] is None:
        return block | {"hog_logistic": found | {"gain_reason": found[f"{name}_reason"]}}
    weights = leave_out_weights(own.patients)
    left_out = own.measure(weights)[name] - hog.measure(weights)[name]
    sample = Sample(len(set(own.patients)), len(table))
    found |= interval_entries("gain", plain_interval(found["gain"], standard_error(left_out), sample))
    return block | {"hog_logistic": found}


def hog_films(table: pd.DataFrame, point: OperatingPoint) -> ScoredFilms | None:
    """The films with the scores of the HOG baseline at threshold 0.5; None where there is no baseline."""
    if with_score(table, HOG, point.classes).empty:
        return None
    return ScoredFilms(table, replace(point, temperature=1.0, threshold=None if point.threshold is None else 0.5), HOG)


def _all_positive(films: ScoredFilms) -> Block:
    """Every film predicted positive with the share of positives as its probability."""
    positive, ones = films.label.astype(np.float64), np.ones(len(films.label))
    scored = Scored(positive, ones, ones * positive.mean(), ones)
    values = {name: float(value[0]) for name, value in binary_metrics(scored, ones[None]).items()}
    return with_reasons(values, ALL_POSITIVE, films.why_undefined)


def shift_details(table: pd.DataFrame, point: OperatingPoint) -> Block:
    """Metrics of each view at the stored operating point, and the acquisition AUROC."""
    validation = films_of(table, "val")
    views = {
        "validation": validation,
        "corrupted": films_of(table, "corrupted"),
        "swapped": films_of(table, "swapped"),
        "bias_conflicting": bias_conflicting_films(validation, point.classes),
    }
    label, logits = acquisition_of(with_score(validation, ACQUISITION, point.classes), point.classes)
    auroc = rounded(ovr_auroc(label, logits)) if len(np.unique(label)) > 1 else None
    return {"acquisition_auroc": auroc} | {name: _metrics(films, point) for name, films in views.items()}


def bias_conflicting_films(validation: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """The bias-conflicting validation films; none without acquisition logits."""
    scored = with_score(validation, ACQUISITION, classes)
    return scored[bias_conflicting(*acquisition_of(scored, classes))].reset_index(drop=True)


def acquisition_of(films: pd.DataFrame, classes: tuple[str, ...]) -> tuple[Indices, Floats]:
    """Class indices (films,), and the logit of each class against all others (films, classes)."""
    logits = scores(films, ACQUISITION, classes) if len(films) else np.empty((0, len(classes)))
    return labels(films, classes), np.column_stack([-logits, logits]) if logits.ndim == 1 else logits


def _metrics(films: pd.DataFrame, point: OperatingPoint) -> Block:
    if films.empty:
        return {
            "films": 0,
            "reason": "no such validation films",
        }
    task = task_of(point.classes)
    names = (task.main_metric, *(AT_THRESHOLD if isinstance(task, Binary) else ("accuracy",)))
    block: Block = {"films": len(films), "patients": int(films["patient_id"].nunique())}
    block |= ScoredFilms(films, point).with_intervals(names)
    hog, name = hog_films(films, point), task.main_metric
    if hog is None:
        return block
    return block | {key.replace(name, f"{name}_hog", 1): value for key, value in hog.with_intervals((name,)).items()}
