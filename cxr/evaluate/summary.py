"""metrics.json from the table of predictions: no image, no model, no GPU."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from cxr.evaluate import binary, multiclass
from cxr.evaluate.arrays import Figures, Floats, Indices
from cxr.evaluate.bootstrap import percentile_interval, resampled
from cxr.evaluate.calibration import one_hot
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.operating_point import OperatingPoint
from cxr.evaluate.predictions import LOGIT, labels, scores

Block = dict[str, Any]
DIGITS = 5
Measure = Callable[[Floats], Figures]


def measure(table: pd.DataFrame, point: OperatingPoint, score: str = LOGIT, threshold: float | None = None) -> Measure:
    """The function that gives all figures of some films for rows of weights.

    Args:
        table: the films.
        point: calibration and threshold.
        score: which score of the table counts as the logit.
        threshold: on the probability, instead of the operating point's; two classes only.
    """
    label, logits = labels(table, point.classes), scores(table, score, point.classes)
    probability = point.probability(logits)
    if logits.ndim == 2:
        decision = point.decide(probability)
        films = multiclass.ScoredClasses(label, probability, decision)
        return lambda weights: multiclass.multiclass_figures(films, weights)
    called = point.decide(probability) if threshold is None else probability >= threshold
    scored = binary.Scored(label.astype(np.float64), logits, probability, called.astype(np.float64))
    return lambda weights: binary.binary_figures(scored, weights)


def headline(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the figures that are given with an interval."""
    return binary.HEADLINE if len(classes) == 2 else multiclass.HEADLINE


def main_figure(classes: tuple[str, ...]) -> str:
    """The figure that ranks classifiers."""
    return "auroc" if len(classes) == 2 else "macro_auroc"


def plain(figures: Measure, films: int) -> dict[str, float]:
    """The figures of the films as they are."""
    return {name: float(value[0]) for name, value in figures(np.ones((1, films))).items()}


def with_intervals(
    figures: Measure, table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection, names: tuple[str, ...]
) -> Block:
    """Each named figure as `name`, `name_low`, `name_high`; null with `name_reason` where it is not defined."""
    values = plain(figures, len(table))
    patients = table["patient_id"].tolist()
    draws = resampled(lambda weights: _only(figures(weights), names), patients, section.resamples, section.seed)
    label = labels(table, point.classes)
    block: Block = {}
    for name in names:
        if not np.isfinite(values[name]):
            reason = (
                binary.why_undefined(name, values)
                if len(point.classes) == 2
                else multiclass.why_undefined(name, label, point.classes)
            )
            block |= {name: None, f"{name}_reason": reason}
            continue
        block[name] = rounded(values[name])
        block |= interval_entries(name, draws[name], exact_interval(name, values, table, point))
    return block


def interval_entries(name: str, draws: Floats, exact: tuple[float, float] | None = None) -> Block:
    """`name_low` and `name_high`, or nulls with `name_interval_reason`; `exact` serves where resamples cannot vary."""
    interval = percentile_interval(draws)
    if interval is not None and interval[0] == interval[1]:
        interval, reason = exact, "the figure does not vary between resamples of the patients"
    else:
        reason = "too many resamples of the patients hold one class only"
    if interval is None:
        return {f"{name}_low": None, f"{name}_high": None, f"{name}_interval_reason": reason}
    return {f"{name}_low": rounded(interval[0]), f"{name}_high": rounded(interval[1])}


def exact_interval(
    name: str, values: dict[str, float], table: pd.DataFrame, point: OperatingPoint
) -> tuple[float, float] | None:
    """Clopper-Pearson interval of a proportion that is 0 or 1, where a bootstrap has no width.

    Counted are the patients behind the films of its denominator; for precision and NPV those that the classifier
    itself calls positive or negative.
    """
    if name not in binary.PROPORTIONS or "tp" not in values or values[name] not in (0.0, 1.0):
        return None
    label = labels(table, point.classes)
    called = point.decide(point.probability(scores(table, LOGIT, point.classes)))
    chosen = {"recall": label == 1, "specificity": label == 0, "precision": called == 1, "npv": called == 0}
    patients = table.loc[chosen.get(name, np.ones(len(label), bool)), "patient_id"].nunique()
    edge = 0.025 ** (1 / patients)
    return (edge, 1.0) if values[name] == 1.0 else (0.0, 1 - edge)


def split_block(table: pd.DataFrame, point: OperatingPoint, section: EvaluateSection) -> Block:
    """All figures of one split: sizes, headline with intervals, counts, predictive values, figures at 0.5."""
    if table.empty:
        return {"films": 0, "reason": "the cohort has no film in this split"}
    label = labels(table, point.classes)
    figures = measure(table, point)
    block: Block = {"films": len(table), "patients": int(table["patient_id"].nunique())}
    block |= {f"films_{name}": int((label == index).sum()) for index, name in enumerate(point.classes)}
    block |= with_intervals(figures, table, point, section, headline(point.classes))
    values = plain(figures, len(table))
    if len(point.classes) > 2:
        return block | _class_blocks(values, table, point, label)
    block["counts"] = {name: int(values[name]) for name in ("tp", "fp", "fn", "tn")}
    predictive = tuple(f"{value}_at_{percent}" for percent in binary.PREVALENCES for value in ("ppv", "npv"))
    block["prevalence"] = with_reasons(values, predictive, lambda name: binary.why_undefined(name, values))
    at_half = plain(measure(table, point, threshold=0.5), len(table))
    names = ("accuracy", "balanced_accuracy", "recall", "specificity", "precision", "npv", "f1", "mcc")
    block["at_half"] = with_reasons(at_half, names, lambda name: binary.why_undefined(name, at_half))
    return block


def _class_blocks(values: dict[str, float], table: pd.DataFrame, point: OperatingPoint, label: Indices) -> Block:
    per_class = {
        name: with_reasons(
            {figure: values[f"{index}:{figure}"] for figure in multiclass.PER_CLASS},
            multiclass.PER_CLASS,
            lambda figure, index=index: multiclass.why_undefined(f"{index}:{figure}", label, point.classes),  # type: ignore[misc]
        )
        for index, name in enumerate(point.classes)
    }
    counts = confusion(table, point)
    return {
        **{name: rounded(values[name]) for name in ("top3_accuracy", "top5_accuracy") if name in values},
        "per_class": per_class,
        "counts": {
            name: {other: int(counts[i, j]) for j, other in enumerate(point.classes)}
            for i, name in enumerate(point.classes)
        },
    }


def confusion(table: pd.DataFrame, point: OperatingPoint) -> Floats:
    """Films by reference class (rows) and called class (columns)."""
    called = point.decide(point.probability(scores(table, LOGIT, point.classes)))
    size = len(point.classes)
    return np.asarray(one_hot(labels(table, point.classes), size).T @ one_hot(called, size))


def with_reasons(values: dict[str, float], names: tuple[str, ...], why: Callable[[str], str]) -> Block:
    """Plain figures, each null with `name_reason` where it is not defined."""
    block: Block = {}
    for name in names:
        block[name] = rounded(values[name])
        if block[name] is None:
            block[f"{name}_reason"] = why(name)
    return block


def rounded(value: float) -> float | None:
    """A figure as written: five decimals; None for NaN."""
    return round(float(value), DIGITS) if np.isfinite(value) else None


def _only(figures: Figures, names: tuple[str, ...]) -> Figures:
    return {name: figures[name] for name in names}
