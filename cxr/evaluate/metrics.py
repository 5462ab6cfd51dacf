"""Metrics of two classes and of more, for weighted films."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxr.evaluate.intervals import Bools, Floats, Indices, Metrics

BINS = 15
METRICS = (
    "auroc", "auprc", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "npv", "f1", "youden",
    "mcc", "brier", "ece", "log_loss",
)  # fmt: skip
SIGNED = ("youden", "mcc")
LOSSES = ("brier", "log_loss")
TINY = 1e-15
CLASS_METRICS = (
    "macro_auroc", "macro_auprc", "accuracy", "balanced_accuracy", "macro_f1", "micro_f1", "mcc", "top2_accuracy",
    "brier", "ece", "log_loss",
)  # fmt: skip
PER_CLASS = ("auroc", "auprc", "sensitivity", "precision", "f1")


def expected_calibration_error(positive: Floats, probability: Floats, weights: Floats, bins: int = BINS) -> Floats:
    """Mean gap between mean probability and observed share over equal-width bins, weighted by films (Naeini 2015)."""
    gap = weights @ (bin_members(probability, bins) * (probability - positive)[:, None])
    return np.asarray(np.abs(gap).sum(axis=1) / weights.sum(axis=1))


def bin_members(probability: Floats, bins: int = BINS) -> Floats:
    """Which of the equal-width bins each probability falls into, (films, bins) of 1 or 0."""
    return one_hot(np.minimum((probability * bins).astype(int), bins - 1), bins)


def one_hot(index: Indices, size: int) -> Floats:
    """(films, size) with a 1 at each film's index."""
    return np.asarray(np.eye(size)[index])


def reliability_table(positive: Floats, probability: Floats, bins: int = 10) -> pd.DataFrame:
    """Mean probability, observed share and films of each bin that holds films."""
    member = np.minimum((probability * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": member, "predicted": probability, "observed": positive})
    grouped = table.groupby("bin").agg(
        predicted=("predicted", "mean"), observed=("observed", "mean"), films=("observed", "size")
    )
    return grouped.reset_index(drop=True)


def weighted_auroc(positive: Floats, score: Floats, weights: Floats) -> Floats:
    """Area under the ROC curve; ties count one half (Mann & Whitney 1947).

    Args:
        positive: 1 or 0 for each film.
        score: any score that is higher for positive films, (films,).
        weights: (resamples, films).

    Returns:
        (resamples,); NaN where only one class has weight.
    """
    with_finding, without = _by_score(positive, score, weights)
    below = np.cumsum(without, axis=1) - without / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((with_finding * below).sum(axis=1) / (with_finding.sum(axis=1) * without.sum(axis=1)))


def weighted_auprc(positive: Floats, score: Floats, weights: Floats) -> Floats:
    """Average precision: precision at each threshold weighted by the recall that it adds; as `weighted_auroc`."""
    with_finding, without = (counts[:, ::-1] for counts in _by_score(positive, score, weights))
    hits, calls = np.cumsum(with_finding, axis=1), np.cumsum(with_finding + without, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(calls > 0, hits / calls, 0.0)
        total = with_finding.sum(axis=1)
        return np.where(without.sum(axis=1) > 0, (with_finding * precision).sum(axis=1) / total, np.nan)


def _by_score(positive: Floats, score: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weight of positive and of negative films at each distinct score, ascending: two of (resamples, scores)."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    sorted_weights, found = weights[:, order], positive[order]
    return (
        np.add.reduceat(sorted_weights * found, starts, axis=1),
        np.add.reduceat(sorted_weights * (1 - found), starts, axis=1),
    )


@dataclass(frozen=True)
class Scored:
    """Reference labels and scores of films, each (films,)."""

    positive: Floats  # 1 or 0
    score: Floats  # higher = more suspicious; only its order matters
    probability: Floats  # of the positive class, calibrated
    decision: Floats  # 1 or 0 at the operating point


def binary_metrics(films: Scored, weights: Floats) -> Metrics:
    """All metrics for each row of weights; NaN where a metric is not defined.

    Args:
        films: labels and scores.
        weights: (resamples, films); a row of ones gives the unweighted metrics.

    Returns:
        Arrays (resamples,) by name: those of METRICS and the counts tp, fp, fn, tn.
    """
    metrics = decision_metrics(films.positive, films.decision, weights)
    total = weights.sum(axis=1)
    p = np.clip(films.probability, TINY, 1 - TINY)
    loss = -np.where(films.positive == 1, np.log(p), np.log1p(-p))
    metrics["auroc"] = weighted_auroc(films.positive, films.score, weights)
    metrics["auprc"] = weighted_auprc(films.positive, films.score, weights)
    metrics["brier"] = weights @ np.square(films.probability - films.positive) / total
    metrics["log_loss"] = weights @ loss / total
    metrics["ece"] = expected_calibration_error(films.positive, films.probability, weights)
    return metrics


def decision_metrics(positive: Floats, decision: Floats, weights: Floats) -> Metrics:
    """Metrics of the 2x2 table; as `binary_metrics`."""
    tp = weights @ (positive * decision)
    fp = weights @ ((1 - positive) * decision)
    fn = weights @ (positive * (1 - decision))
    tn = weights @ ((1 - positive) * (1 - decision))
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, specificity = tp / (tp + fn), tn / (tn + fp)
        metrics = {
            "accuracy": (tp + tn) / (tp + fp + fn + tn),
            "balanced_accuracy": (sensitivity + specificity) / 2,
            "sensitivity": sensitivity,
            "specificity": specificity,
            "precision": tp / (tp + fp),
            "npv": tn / (tn + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
            "youden": sensitivity + specificity - 1,
            "mcc": (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)),
        }
    return metrics | {"tp": tp, "fp": fp, "fn": fn, "tn": tn}


def denominator_mask(metric: str, label: Indices, predicted: Indices) -> Bools:
    """The films in the denominator of a metric."""
    chosen = {
        "sensitivity": label == 1,
        "specificity": label == 0,
        "precision": predicted == 1,
        "npv": predicted == 0,
        "f1": (label == 1) | (predicted == 1),
    }
    return np.asarray(chosen.get(metric, np.ones(len(label), bool)))


def why_undefined(metric: str, label: Indices, predicted: Indices) -> str:
    """Why a metric of the plain sample has no value."""
    if not (label == 1).any() and metric not in ("specificity", "precision", "npv"):
        return "no film of the positive class"
    if not (label == 0).any() and metric not in ("sensitivity", "precision", "npv"):
        return "no film of the negative class"
    return f"no film is predicted {'positive' if not predicted.any() else 'negative'}"


@dataclass(frozen=True)
class ScoredClasses:
    """Reference classes, probabilities and predictions of films."""

    label: Indices  # class index, (films,)
    probability: Floats  # calibrated, (films, classes)
    decision: Indices  # class index, (films,)


def multiclass_metrics(films: ScoredClasses, weights: Floats) -> Metrics:
    """All metrics for each row of weights (resamples, films); NaN where a metric is not defined.

    Returns:
        Arrays (resamples,) by name: those of METRICS, `top3_accuracy` and `top5_accuracy` with more classes than
        that, and for class k those of PER_CLASS as `k:auroc` ….
    """
    classes = films.probability.shape[1]
    truth, predicted = one_hot(films.label, classes), one_hot(films.decision, classes)
    total = weights.sum(axis=1)
    table = np.einsum("bn,ni,nj->bij", weights, truth, predicted, optimize=True)  # (resamples, reference, predicted)
    hits, present, calls = np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2), table.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        sensitivity, precision, f1 = hits / present, hits / calls, 2 * hits / (present + calls)
        mcc = (hits.sum(axis=1) * total - (present * calls).sum(axis=1)) / np.sqrt(
            (total**2 - (calls**2).sum(axis=1)) * (total**2 - (present**2).sum(axis=1))
        )
    auroc = np.stack([weighted_auroc(truth[:, k], films.probability[:, k], weights) for k in range(classes)], axis=1)
    auprc = np.stack([weighted_auprc(truth[:, k], films.probability[:, k], weights) for k in range(classes)], axis=1)
    own = films.probability[np.arange(len(films.label)), films.label]
    top = films.probability.argmax(axis=1)
    metrics = {
        "macro_auroc": auroc.mean(axis=1),
        "macro_auprc": auprc.mean(axis=1),
        "accuracy": hits.sum(axis=1) / total,
        "balanced_accuracy": sensitivity.mean(axis=1),
        "macro_f1": f1.mean(axis=1),
        "micro_f1": hits.sum(axis=1) / total,  # each film has one label and one prediction, so it equals the accuracy
        "mcc": mcc,
        "brier": weights @ np.square(films.probability - truth).sum(axis=1) / total,
        "ece": expected_calibration_error(
            (top == films.label).astype(np.float64), films.probability.max(axis=1), weights
        ),
        "log_loss": weights @ -np.log(np.clip(own, TINY, 1)) / total,
    }
    rank = (films.probability > own[:, None]).sum(axis=1)  # number of classes more probable than the true one
    for k in (2, 3, 5):
        if k == 2 or k < classes:
            metrics[f"top{k}_accuracy"] = weights @ (rank < k).astype(np.float64) / total
    for k in range(classes):
        values = (auroc, auprc, sensitivity, precision, f1)
        metrics |= {f"{k}:{name}": value[:, k] for name, value in zip(PER_CLASS, values, strict=True)}
    return metrics


def why_class_undefined(name: str, labels: Indices, classes: tuple[str, ...]) -> str:
    """Why a metric of the plain sample has no value."""
    present = set(labels.tolist())
    missing = [label for index, label in enumerate(classes) if index not in present]
    if ":" in name:
        index = int(name.partition(":")[0])
        if index not in present:
            return f"no film of class {classes[index]}"
        return "all films are of one class" if len(present) == 1 else f"no film is predicted {classes[index]}"
    if missing:
        return f"no film of class {', '.join(missing)}"
    return "some class is never predicted"
