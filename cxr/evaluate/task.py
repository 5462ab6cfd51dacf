"""All that depends on the number of classes: columns, metrics, reasons."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from typing_extensions import override

from cxr.evaluate.intervals import Bools, Floats, Indices, Measure
from cxr.evaluate.metrics import (
    CLASS_METRICS,
    METRICS,
    Scored,
    ScoredClasses,
    binary_metrics,
    denominator_mask,
    multiclass_metrics,
    one_hot,
    why_class_undefined,
    why_undefined,
)


class Task(Protocol):
    """Columns, metrics and reasons of a task; `probability` is (films,) for two classes, else (films, classes)."""

    classes: tuple[str, ...]
    main_metric: str  # ranks classifiers and decides comparisons
    metrics: tuple[str, ...]  # reported for each split, with intervals
    short: tuple[str, ...]  # those of them in metrics.json
    subgroup_metrics: tuple[str, ...]
    chance: float  # value of the main metric by chance

    def columns(self, score: str) -> list[str]:
        """Names of the columns that hold a score of each film."""

    def array(self, columns: Floats) -> Floats:
        """An array (films, columns) of these columns as logits or probabilities."""

    def measure(self, label: Indices, logits: Floats, probability: Floats, predicted: Indices) -> Measure:
        """The function from weights to all metrics of some films."""

    def counted(self, metric: str, label: Indices, predicted: Indices) -> Bools:
        """The films in the denominator of a metric."""

    def why_undefined(self, metric: str, label: Indices, predicted: Indices) -> str:
        """Why a metric of these films has no value."""

    def one_versus_rest(self, label: Indices, probability: Floats) -> list[tuple[str, Floats, Floats]]:
        """Name, reference (1 or 0) and probability of each class that has a curve of its own."""

    def confidence(self, probability: Floats, predicted: Indices) -> Floats:
        """Probability of the predicted class, (films,)."""

    def mistakes(self, label: Indices, predicted: Indices) -> dict[str, Bools]:
        """Films by kind of mistake."""

    def evidence_for(self) -> str:
        """The class that a Grad-CAM shows evidence for, in words."""


def task_of(classes: tuple[str, ...]) -> Task:
    """The task of a classifier of these classes."""
    return Binary(classes) if len(classes) == 2 else Multiclass(classes)


@dataclass(frozen=True)
class Binary(Task):
    """Two classes; the second is the positive one."""

    classes: tuple[str, ...]
    main_metric: str = "auroc"
    metrics: tuple[str, ...] = METRICS
    short: tuple[str, ...] = ("auroc", "auprc", "accuracy", "sensitivity", "specificity", "f1", "ece")
    subgroup_metrics: tuple[str, ...] = ("auroc", "sensitivity", "specificity", "accuracy")
    chance: float = 0.5

    @override
    def columns(self, score: str) -> list[str]:
        return [score]

    @override
    def array(self, columns: Floats) -> Floats:
        return columns[:, 0]

    @override
    def measure(self, label: Indices, logits: Floats, probability: Floats, predicted: Indices) -> Measure:
        films = Scored(label.astype(np.float64), logits, probability, predicted.astype(np.float64))
        return lambda weights: binary_metrics(films, weights)

    @override
    def counted(self, metric: str, label: Indices, predicted: Indices) -> Bools:
        return denominator_mask(metric, label, predicted)

    @override
    def why_undefined(self, metric: str, label: Indices, predicted: Indices) -> str:
        return why_undefined(metric, label, predicted)

    @override
    def one_versus_rest(self, label: Indices, probability: Floats) -> list[tuple[str, Floats, Floats]]:
        return [(self.classes[1], label.astype(np.float64), probability)]

    @override
    def confidence(self, probability: Floats, predicted: Indices) -> Floats:
        return np.where(predicted == 1, probability, 1 - probability)

    @override
    def mistakes(self, label: Indices, predicted: Indices) -> dict[str, Bools]:
        return {
            "false negative": np.asarray((label == 1) & (predicted == 0)),
            "false positive": np.asarray((label == 0) & (predicted == 1)),
        }

    @override
    def evidence_for(self) -> str:
        return "the positive class"


@dataclass(frozen=True)
class Multiclass(Task):
    """Three classes or more; the most probable one is predicted."""

    classes: tuple[str, ...]
    main_metric: str = "macro_auroc"
    metrics: tuple[str, ...] = CLASS_METRICS
    short: tuple[str, ...] = ("macro_auroc", "macro_auprc", "accuracy", "balanced_accuracy", "macro_f1", "mcc", "ece")
    subgroup_metrics: tuple[str, ...] = ("accuracy", "macro_f1")
    chance: float = 0.5

    @override
    def columns(self, score: str) -> list[str]:
        return [f"{score}_{name}" for name in self.classes]

    @override
    def array(self, columns: Floats) -> Floats:
        return columns

    @override
    def measure(self, label: Indices, logits: Floats, probability: Floats, predicted: Indices) -> Measure:
        films = ScoredClasses(label, probability, predicted)
        return lambda weights: multiclass_metrics(films, weights)

    @override
    def counted(self, metric: str, label: Indices, predicted: Indices) -> Bools:
        return np.ones(len(label), bool)

    @override
    def why_undefined(self, metric: str, label: Indices, predicted: Indices) -> str:
        return why_class_undefined(metric, label, self.classes)

    @override
    def one_versus_rest(self, label: Indices, probability: Floats) -> list[tuple[str, Floats, Floats]]:
        truth = one_hot(label, len(self.classes))
        return [(name, truth[:, k], probability[:, k]) for k, name in enumerate(self.classes)]

    @override
    def confidence(self, probability: Floats, predicted: Indices) -> Floats:
        return np.asarray(probability.max(axis=1))

    @override
    def mistakes(self, label: Indices, predicted: Indices) -> dict[str, Bools]:
        return {"mistake": np.asarray(label != predicted)}

    @override
    def evidence_for(self) -> str:
        return "the most probable class"
