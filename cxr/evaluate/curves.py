"""Tables of the curves that DVC plots: ROC, precision-recall, thresholds, reliability, decision curve."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from cxr.core.files import write_csv
from cxr.decision.operating_point import OperatingPoint
from cxr.evaluate.fit import threshold_table
from cxr.evaluate.intervals import Bools, Floats, Sample, leave_out_weights, share_interval, standard_error
from cxr.evaluate.metrics import reliability_table
from cxr.evaluate.table import LOGIT, films_of, labels, reported_split, scores
from cxr.evaluate.task import task_of

MAX_POINTS = 400  # per curve; more are not visible and enlarge the diff
DIGITS = 5
LOWEST = -0.1  # lower net benefits are clipped for readability
SPLITS = ("val", "test")


def roc_table(positive: Floats, score: Floats) -> pd.DataFrame:
    """Sensitivity over false positive rate: `fpr`, `tpr`."""
    fpr, tpr, _ = roc_curve(positive, score)
    return _thinned(pd.DataFrame({"fpr": fpr, "tpr": tpr}))


def pr_table(positive: Floats, score: Floats) -> pd.DataFrame:
    """Precision over recall, ascending in recall: `recall`, `precision`."""
    precision, recall, _ = precision_recall_curve(positive, score)
    return _thinned(pd.DataFrame({"recall": recall[::-1], "precision": precision[::-1]}))


def thresholds_table(positive: Floats, probability: Floats) -> pd.DataFrame:
    """Metrics over the threshold: `threshold`, `sensitivity`, `specificity`, `f1`."""
    return pd.DataFrame(threshold_table(positive, probability)).round(DIGITS)


def reliability(positive: Floats, probability: Floats) -> pd.DataFrame:
    """Observed share over mean predicted probability in ten bins: `predicted`, `observed`, `films`."""
    return reliability_table(positive, probability).round(DIGITS)


def histogram_table(positive: Floats, probability: Floats, bins: int = 20) -> pd.DataFrame:
    """Films by probability and reference: `probability` (centre of the bin), `negative`, `positive` (films)."""
    edges = np.linspace(0, 1, bins + 1)
    return pd.DataFrame(
        {
            "probability": ((edges[:-1] + edges[1:]) / 2).round(DIGITS),
            "negative": np.histogram(probability[positive == 0], edges)[0],
            "positive": np.histogram(probability[positive == 1], edges)[0],
        }
    )


def confusion_table(label: list[str], decision: list[str]) -> pd.DataFrame:
    """One row per film: `actual`, `predicted`; DVC's confusion templates count them."""
    return pd.DataFrame({"actual": label, "predicted": decision}).sort_values(["actual", "predicted"])


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """At most MAX_POINTS rows, both ends kept, rounded."""
    if len(curve) > MAX_POINTS:
        keep = np.unique(np.linspace(0, len(curve) - 1, MAX_POINTS).round().astype(int))
        curve = curve.iloc[keep]
    return curve.round(DIGITS).drop_duplicates()


def decision_curve_table(
    positive: Floats, probability: Floats, patients: Sequence[str], prevalence: float
) -> pd.DataFrame:
    """Net benefit over the threshold probability: `threshold`, one column per strategy, and the classifier's interval.

    Net benefit = sensitivity * prevalence - (1 - specificity) * (1 - prevalence) * odds of the threshold: true
    positives per person minus weighted false positives. The reference strategies predict everyone or no one positive.
    Intervals are pointwise and combine those of sensitivity and specificity (MOVER, Zou & Donner 2008).

    Args:
        positive: 1 or 0, (films,).
        probability: calibrated, (films,).
        patients: of each film.
        prevalence: share of people with the finding where the classifier would be used.
    """
    grid = np.linspace(0.01, 0.99, 99)
    odds = grid / (1 - grid)
    predicted = (probability[:, None] >= grid).astype(np.float64)
    hit, hit_low, hit_high = _shares(predicted, positive == 1, patients)
    alarm, alarm_low, alarm_high = _shares(predicted, positive == 0, patients)
    gain, cost = prevalence, (1 - prevalence) * odds
    benefit = gain * hit - cost * alarm
    table = pd.DataFrame(
        {
            "threshold": grid,
            "classifier": benefit,
            "classifier_low": benefit - np.hypot(gain * (hit - hit_low), cost * (alarm_high - alarm)),
            "classifier_high": benefit + np.hypot(gain * (hit_high - hit), cost * (alarm - alarm_low)),
            "call_all": gain - cost,
            "call_none": 0.0,
        }
    )
    return table.clip(lower=LOWEST).round(DIGITS)


def _shares(predicted: Floats, chosen: Bools, patients: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """Share of the chosen films predicted positive at each threshold, and its interval; NaN without such films."""
    count = predicted.shape[1]
    if not chosen.any():
        return np.full(count, np.nan), np.full(count, np.nan), np.full(count, np.nan)
    own = [patient for patient, one in zip(patients, chosen, strict=True) if one]
    weights, films = leave_out_weights(own), predicted[chosen]
    share = films.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        left_out = weights @ films / weights.sum(axis=1, keepdims=True)
    sample = Sample(len(set(own)), len(films))
    found = [share_interval(float(share[k]), standard_error(left_out[:, k]), sample) for k in range(count)]
    bounds = np.array([(np.nan, np.nan) if one is None else one for one in found])
    return share, bounds[:, 0], bounds[:, 1]


def write_plots(folder: Path, table: pd.DataFrame, point: OperatingPoint, prevalence: float) -> None:
    """Write the CSVs of all curves.

    ROC, PR and reliability have one file per split, so that splits and revisions overlay. The others show the test
    films, or validation where there is no test set. Three or more classes are drawn one-versus-rest, all classes
    pooled (micro-average).
    """
    for split in SPLITS:
        films = table[table["split"] == split]
        positive, score = one_versus_rest(films, point)
        if len(np.unique(positive)) < 2:
            continue  # one class has no curve; metrics.json has the reason
        write_csv(folder / f"roc_{split}.csv", roc_table(positive, score))
        write_csv(folder / f"pr_{split}.csv", pr_table(positive, score))
        write_csv(folder / f"reliability_{split}.csv", reliability(positive, score))
    films = films_of(table, reported_split(table))
    positive, probability = one_versus_rest(films, point)
    write_csv(folder / "thresholds.csv", thresholds_table(positive, probability))
    write_csv(folder / "scores.csv", histogram_table(positive, probability))
    each = len(positive) // len(films)  # with three or more classes each film counts once per class
    patients = films["patient_id"].repeat(each).tolist()
    write_csv(folder / "decision_curve.csv", decision_curve_table(positive, probability, patients, prevalence))
    predicted = [point.classes[index] for index in point.decide(point.probability(scores(films, LOGIT, point.classes)))]
    write_csv(folder / "confusion.csv", confusion_table(films["label"].tolist(), predicted))


def one_versus_rest(films: pd.DataFrame, point: OperatingPoint) -> tuple[Floats, Floats]:
    """Reference (1 or 0) and calibrated probability; with three or more classes each film counts once per class."""
    probability = point.probability(scores(films, LOGIT, point.classes))
    found = task_of(point.classes).one_versus_rest(labels(films, point.classes), probability)
    return np.stack([one[1] for one in found], axis=1).ravel(), np.stack([one[2] for one in found], axis=1).ravel()


def write_learning_curves(path: Path, history: Path) -> None:
    """Copy the training history, one row per epoch, to where `dvc plots` finds it."""
    write_csv(path, pd.read_csv(history).round(6))
