import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.classification import MulticlassCalibrationError

from cxr.evaluate.metrics import ScoredClasses, multiclass_metrics, why_class_undefined


def _films(classes: int = 4, films: int = 240) -> ScoredClasses:
    random = np.random.default_rng(0)
    label = random.integers(0, classes, films)
    logits = random.normal(0, 1, (films, classes)) + 1.5 * np.eye(classes)[label]
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ScoredClasses(label, probability, probability.argmax(axis=1))


@pytest.mark.parametrize("weight", [np.ones(240), np.random.default_rng(1).poisson(1.0, 240).astype(float)])
def test_figures_agree_with_scikit_learn(weight: np.ndarray):
    films = _films()
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


def test_calibration_error_agrees_with_torchmetrics():
    films = _films()
    metric = MulticlassCalibrationError(num_classes=4, n_bins=15, norm="l1")
    expected = metric(torch.tensor(films.probability), torch.tensor(films.label))
    assert multiclass_metrics(films, np.ones((1, 240)))["ece"][0] == pytest.approx(float(expected), abs=1e-6)


def test_a_missing_class_is_named_as_the_reason():
    labels = np.array([0, 0, 1])
    assert why_class_undefined("macro_auroc", labels, ("a", "b", "c")) == "no film of class c"
    assert why_class_undefined("2:sensitivity", labels, ("a", "b", "c")) == "no film of class c"
    assert why_class_undefined("0:precision", labels, ("a", "b", "c")) == "no film is predicted a"
