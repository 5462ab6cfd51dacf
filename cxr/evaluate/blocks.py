"""metrics.json and subgroups.json: splits, shortcut checks, baselines, subgroups."""

from dataclasses import replace

import numpy as np
import pandas as pd

from cxr.evaluate.arrays import Indices
from cxr.evaluate.binary import Scored, binary_figures, why_undefined
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.operating_point import OperatingPoint
from cxr.evaluate.paired import differences
from cxr.evaluate.predictions import BASELINE, KEPT, LOGIT, LUNG_SHARE, REMOVED, labels, with_score
from cxr.evaluate.summary import (
    Block,
    Measure,
    main_figure,
    measure,
    plain,
    rounded,
    split_block,
    with_intervals,
    with_reasons,
)

MAX_GROUPS = 20
SPLIT_NAMES = {"test": "test", "val": "validation"}


def metrics_document(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """metrics.json as a nested mapping of scalars, in a fixed order.

    Shortcut checks and baselines are those of the test films, or of validation where there is no test set.
    """
    splits = {name: table[table["split"] == split].reset_index(drop=True) for split, name in SPLIT_NAMES.items()}
    shown = reported_split(table)
    films = splits[SPLIT_NAMES[shown]]
    return {
        **{name: split_block(part, point, section) for name, part in splits.items()},
        "operating_point": operating_point_block(point),
        "reported_split": SPLIT_NAMES[shown],
        "shortcuts": shortcut_block(films, point, section),
        "baselines": baseline_block(films, point, section),
    }


def subgroups_document(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """subgroups.json: figures of the reported split for each value of each column of `evaluate.subgroups`."""
    films = table[table["split"] == reported_split(table)].reset_index(drop=True)
    columns = {name: subgroup_block(films, name, point, section) for name in section.subgroups}
    return {"split": SPLIT_NAMES[reported_split(table)], **columns}


def operating_point_block(point: OperatingPoint) -> Block:
    """The operating point as metrics, so that a change of it shows in `dvc metrics diff`."""
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


def reported_split(table: pd.DataFrame) -> str:
    """`test`, or `val` where the cohort has no test films."""
    return "test" if bool((table["split"] == "test").any()) else "val"


def subgroup_block(table: pd.DataFrame, column: str, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Figures of the films for each value of a column; empty values count as `unknown`."""
    if column not in table.columns:
        return {"reason": f"the cohort has no column '{column}'"}
    values = table[column].replace("", "unknown")
    groups = sorted(set(values))
    if len(groups) > MAX_GROUPS:
        return {"reason": f"{len(groups)} values; at most {MAX_GROUPS} are shown: bin the column in the manifest"}
    names = ("accuracy", "auroc", "recall", "specificity") if len(point.classes) == 2 else ("accuracy", "macro_f1")
    return {group: _group(table[values == group].reset_index(drop=True), names, point, section) for group in groups}


def _group(films: pd.DataFrame, names: tuple[str, ...], point: OperatingPoint, section: EvaluateSection) -> Block:
    sizes: Block = {"films": len(films), "patients": int(films["patient_id"].nunique())}
    return sizes | with_intervals(measure(films, point), films, point, section, names)


def shortcut_block(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """Where the classifier looks, and what it still says without lungs."""
    name = main_figure(point.classes)
    block: Block = {}
    for score, title in ((LOGIT, name), (REMOVED, f"{name}_lungs_removed"), (KEPT, f"{name}_lungs_only")):
        films = with_score(table, score, point.classes)
        if films.empty:
            reason = "no film has a lung mask" if section.shortcuts else "evaluate.shortcuts is off"
            block |= {title: None, f"{title}_reason": reason}
            continue
        found = with_intervals(measure(films, point, score), films, point, section, (name,))
        block |= {key.replace(name, title, 1): value for key, value in found.items()}
        if len(films) < len(table):
            block[f"{title}_missing"] = len(table) - len(films)
    return block | lung_share_block(table, point)


def lung_share_block(table: pd.DataFrame, point: OperatingPoint) -> Block:
    """Mean share of the Grad-CAM mass inside the lungs, of all films and by reference class."""
    if LUNG_SHARE not in table.columns or not bool(table[LUNG_SHARE].notna().any()):
        return {LUNG_SHARE: None, f"{LUNG_SHARE}_reason": "no film has a Grad-CAM and a lung mask"}
    block: Block = {LUNG_SHARE: rounded(float(table[LUNG_SHARE].mean()))}
    for name in point.classes:
        title = f"{LUNG_SHARE}_{name}"
        block[title] = rounded(float(table.loc[table["label"] == name, LUNG_SHARE].mean()))
        if block[title] is None:
            block[f"{title}_reason"] = f"no film of class {name} has a Grad-CAM and a lung mask"
    missing = int(table[LUNG_SHARE].isna().sum())
    return block | ({f"{LUNG_SHARE}_missing": missing} if missing else {})


def baseline_block(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """What the classifier must beat: calling every film positive, and logistic regression on HOG and histogram.

    `gain` is the classifier's main figure minus the baseline's, with its interval over patients.
    """
    name = main_figure(point.classes)
    block: Block = {}
    if len(point.classes) == 2:
        values = plain(_all_positive(labels(table, point.classes)), len(table))
        names = ("auroc", "auprc", "accuracy", "precision", "f1")
        block["all_positive"] = with_reasons(values, names, lambda key: why_undefined(key, values))
    if with_score(table, BASELINE, point.classes).empty:
        reason = "the training films lack a class" if section.baseline else "evaluate.baseline is off"
        return block | {"hog_logistic": {"reason": reason}}
    baseline = measure(table, _half(point), BASELINE)
    hog = with_intervals(baseline, table, point, section, (name, "accuracy"))
    gain = differences(baseline, measure(table, point), table, (name,), section)[0]
    hog |= {"gain": rounded(gain.b - gain.a), "gain_low": rounded(gain.low), "gain_high": rounded(gain.high)}
    if hog["gain"] is None:
        hog["gain_reason"] = hog[f"{name}_reason"]
    if hog["gain_low"] is None:
        hog["gain_interval_reason"] = gain.no_interval
    return block | {"hog_logistic": hog}


def _all_positive(label: Indices) -> Measure:
    """Every film called positive with the same probability: the share of positives, which nothing beats blindly."""
    positive, ones = label.astype(np.float64), np.ones(len(label))
    scored = Scored(positive, ones, ones * positive.mean(), ones)
    return lambda weights: binary_figures(scored, weights)


def _half(point: OperatingPoint) -> OperatingPoint:
    """The baseline's own operating point: its probabilities as they are, 0.5."""
    return replace(point, temperature=1.0, threshold=None if point.threshold is None else 0.5)
