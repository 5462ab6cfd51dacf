"""Metrics of two and of more classes, compared with scikit-learn, torchmetrics or a table by hand."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.classification import BinaryCalibrationError, MulticlassCalibrationError

from cxr.evaluate.metrics import (
    METRICS,
    Scored,
    ScoredClasses,
    binary_metrics,
    decision_metrics,
    multiclass_metrics,
    reliability_table,
    why_class_undefined,
)


def _films(seed: int = 0, films: int = 200, ties: bool = False) -> Scored:
    random = np.random.default_rng(seed)
    positive = (random.random(films) < 0.4).astype(float)
    score = random.normal(1.5 * positive, 1.0)
    score = np.round(score, 1) if ties else score
    probability = 1 / (1 + np.exp(-score))
    return Scored(positive, score, probability, (probability >= 0.6).astype(float))


def _sklearn(films: Scored, weight: np.ndarray) -> dict[str, float]:
    y, called, p = films.positive, films.decision, films.probability
    w = {"sample_weight": weight}
    sensitivity, specificity = sk.recall_score(y, called, **w), sk.recall_score(y, called, pos_label=0, **w)
    return {
        "auroc": sk.roc_auc_score(y, films.score, **w),
        "auprc": sk.average_precision_score(y, films.score, **w),
        "accuracy": sk.accuracy_score(y, called, **w),
        "balanced_accuracy": sk.balanced_accuracy_score(y, called, **w),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "precision": sk.precision_score(y, called, **w),
        "npv": sk.precision_score(y, called, pos_label=0, **w),
        "f1": sk.f1_score(y, called, **w),
        "youden": sk.balanced_accuracy_score(y, called, adjusted=True, **w),
        "mcc": sk.matthews_corrcoef(y, called, **w),
        "brier": sk.brier_score_loss(y, p, **w),
        "log_loss": sk.log_loss(y, p, **w),
    }


@pytest.mark.parametrize("ties", [False, True])
def test_metrics_agree_with_scikit_learn(ties: bool):
    films = _films(ties=ties)
    found = binary_metrics(films, np.ones((1, 200)))
    for name, value in _sklearn(films, np.ones(200)).items():
        assert found[name][0] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_metrics_agree_with_scikit_learn_for_every_row_of_weights(ties: bool):
    films = _films(seed=1, ties=ties)
    weights = np.random.default_rng(2).poisson(1.0, (5, 200)).astype(float)
    found = binary_metrics(films, weights)
    for row in range(5):
        for name, value in _sklearn(films, weights[row]).items():
            assert found[name][row] == pytest.approx(value, abs=1e-10), name


def test_calibration_error_agrees_with_torchmetrics():
    films = _films(seed=3)
    expected = BinaryCalibrationError(n_bins=15, norm="l1")(
        torch.tensor(films.probability), torch.tensor(films.positive).long()
    )
    assert binary_metrics(films, np.ones((1, 200)))["ece"][0] == pytest.approx(float(expected), abs=1e-6)


def test_metrics_of_a_table_computed_by_hand():
    """90 of 100 ill films and 20 of 900 healthy ones predicted positive."""
    positive = np.r_[np.ones(100), np.zeros(900)]
    called = np.r_[np.ones(90), np.zeros(10), np.ones(20), np.zeros(880)]
    found = {name: value[0] for name, value in decision_metrics(positive, called, np.ones((1, 1000))).items()}
    assert (found["tp"], found["fp"], found["fn"], found["tn"]) == (90, 20, 10, 880)
    assert found["sensitivity"] == pytest.approx(0.9)
    assert found["specificity"] == pytest.approx(880 / 900)
    assert found["precision"] == pytest.approx(90 / 110)
    assert found["npv"] == pytest.approx(880 / 890)


def test_undefined_metrics_of_one_class_are_nan():
    films = Scored(np.ones(4), np.arange(4.0), np.full(4, 0.7), np.ones(4))
    found = binary_metrics(films, np.ones((1, 4)))
    undefined = {name for name in METRICS if np.isnan(found[name][0])}
    assert undefined == {"auroc", "auprc", "specificity", "npv", "balanced_accuracy", "youden", "mcc"}


def _films_of_many(classes: int = 4, films: int = 240) -> ScoredClasses:
    random = np.random.default_rng(0)
    label = random.integers(0, classes, films)
    logits = random.normal(0, 1, (films, classes)) + 1.5 * np.eye(classes)[label]
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ScoredClasses(label, probability, probability.argmax(axis=1))


@pytest.mark.parametrize("weight", [np.ones(240), np.random.default_rng(1).poisson(1.0, 240).astype(float)])
def test_multiclass_metrics_agree_with_scikit_learn(weight: np.ndarray):
    films = _films_of_many()
    y, p, called = films.label, films.probability, films.decision
    w = {"sample_weight": weight}
    found = {name: value[0] for name, value in multiclass_metrics(films, weight[None]).items()}
    truth = np.eye(4)[y]
    expected = {
        "accuracy": sk.accuracy_score(y, called, **w),
        "balanced_accuracy": sk.balanced_accuracy_score(y, called, **w),
        "macro_f1": sk.f1_score(y, called, average="macro", **w),
        "micro_f1": sk.f1_score(y, called, average="micro", **w),
        "macro_auroc": sk.roc_auc_score(truth, p, average="macro", **w),
        "macro_auprc": sk.average_precision_score(truth, p, average="macro", **w),
        "mcc": sk.matthews_corrcoef(y, called, **w),
        "log_loss": sk.log_loss(y, p, **w),
        "top2_accuracy": sk.top_k_accuracy_score(y, p, k=2, **w),
        "top3_accuracy": sk.top_k_accuracy_score(y, p, k=3, **w),
        "brier": np.average(((p - truth) ** 2).sum(axis=1), weights=weight),
        "2:auroc": sk.roc_auc_score(y == 2, p[:, 2], **w),
        "2:auprc": sk.average_precision_score(y == 2, p[:, 2], **w),
        "2:sensitivity": sk.recall_score(y, called, average=None, **w)[2],
        "2:precision": sk.precision_score(y, called, average=None, **w)[2],
        "2:f1": sk.f1_score(y, called, average=None, **w)[2],
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-10)


def test_multiclass_calibration_error_agrees_with_torchmetrics():
    films = _films_of_many()
    metric = MulticlassCalibrationError(num_classes=4, n_bins=15, norm="l1")
    expected = metric(torch.tensor(films.probability), torch.tensor(films.label))
    assert multiclass_metrics(films, np.ones((1, 240)))["ece"][0] == pytest.approx(float(expected), abs=1e-6)


def test_a_missing_class_is_named_as_the_reason():
    labels = np.array([0, 0, 1])
    assert why_class_undefined("macro_auroc", labels, ("a", "b", "c")) == "no film of class c"
    assert why_class_undefined("2:sensitivity", labels, ("a", "b", "c")) == "no film of class c"
    assert why_class_undefined("0:precision", labels, ("a", "b", "c")) == "no film is predicted a"


def test_the_reliability_table_counts_each_film_once():
    table = reliability_table(np.array([0, 1, 1, 1.0]), np.array([0.02, 0.04, 0.91, 1.0]))
    assert table.round(9).to_dict("list") == {"predicted": [0.03, 0.955], "observed": [0.5, 1.0], "films": [2, 2]}
