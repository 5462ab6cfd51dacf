"""Every figure of the two-class case against scikit-learn, torchmetrics or a hand-worked table."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from torchmetrics.classification import BinaryCalibrationError

from cxr.evaluate.metrics import METRICS, Scored, binary_metrics, decision_metrics


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
def test_figures_agree_with_scikit_learn(ties: bool):
    films = _films(ties=ties)
    found = binary_metrics(films, np.ones((1, 200)))
    for name, value in _sklearn(films, np.ones(200)).items():
        assert found[name][0] == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_figures_agree_with_scikit_learn_for_every_row_of_weights(ties: bool):
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


def test_a_hand_worked_table():
    """90 of 100 ill films and 20 of 900 healthy ones called positive."""
    positive = np.r_[np.ones(100), np.zeros(900)]
    called = np.r_[np.ones(90), np.zeros(10), np.ones(20), np.zeros(880)]
    found = {name: value[0] for name, value in decision_metrics(positive, called, np.ones((1, 1000))).items()}
    assert (found["tp"], found["fp"], found["fn"], found["tn"]) == (90, 20, 10, 880)
    assert found["sensitivity"] == pytest.approx(0.9)
    assert found["specificity"] == pytest.approx(880 / 900)
    assert found["precision"] == pytest.approx(90 / 110)
    assert found["npv"] == pytest.approx(880 / 890)


def test_a_sample_of_one_class_gives_no_number_where_none_is_defined():
    films = Scored(np.ones(4), np.arange(4.0), np.full(4, 0.7), np.ones(4))
    found = binary_metrics(films, np.ones((1, 4)))
    undefined = {name for name in METRICS if np.isnan(found[name][0])}
    assert undefined == {"auroc", "auprc", "specificity", "npv", "balanced_accuracy", "youden", "mcc"}
