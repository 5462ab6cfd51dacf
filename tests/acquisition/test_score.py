import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cxr.acquisition.score import bias_conflicting, out_of_fold_logits, ovr_auroc
from cxr.core.errors import CxrError


def test_predictive_statistics_have_a_high_auroc_and_others_do_not() -> None:
    random, positive = np.random.default_rng(0), np.arange(200) % 2 == 1
    patients = [f"P{place // 4}" for place in range(200)]
    telling = (positive + random.normal(0, 0.5, 200))[:, None]
    assert roc_auc_score(positive, out_of_fold_logits(telling, positive, patients)[:, 1]) > 0.9
    nothing = out_of_fold_logits(random.normal(size=(200, 1)), positive, patients)
    assert 0.3 < roc_auc_score(positive, nothing[:, 1]) < 0.6
    assert nothing[:, 0] == pytest.approx(-nothing[:, 1])


def test_three_classes_are_scored_one_against_all_others() -> None:
    random, labels = np.random.default_rng(0), np.arange(300) % 3
    telling = np.stack([labels == 1, labels == 2], axis=1) + random.normal(0, 0.3, (300, 2))
    logits = out_of_fold_logits(telling, labels, [f"P{place // 3}" for place in range(300)])
    assert logits.shape == (300, 3)
    assert all(roc_auc_score(labels == place, logits[:, place]) > 0.9 for place in range(3))
    assert (1 / (1 + np.exp(-logits))).sum(axis=1) == pytest.approx(1)  # the classes' probabilities


def test_a_patient_is_scored_by_a_model_fitted_on_other_patients() -> None:
    positive = np.repeat(np.arange(40) % 2 == 1, 5)
    patients = [f"P{place}" for place in np.repeat(np.arange(40), 5)]
    by_patient = np.eye(40)[
        np.repeat(np.arange(40), 5)
    ]  # one column per patient: predicts the label in the training folds only
    assert roc_auc_score(positive, out_of_fold_logits(by_patient, positive, patients)[:, 1]) == pytest.approx(
        0.5, abs=0.1
    )


def test_too_few_patients_are_an_error() -> None:
    with pytest.raises(CxrError, match="1 patients of one class, 5 are needed; add patients"):
        out_of_fold_logits(np.zeros((8, 1)), np.arange(8) % 2 == 1, ["A", "B", "A", "C", "A", "B", "A", "C"])


@pytest.mark.parametrize(("gap", "share"), [(0.0, 1 / 3), (2.0, 1 / 3), (3.0, 0.15), (4.0, 0.04), (99.0, 0.0)])
def test_better_acquisition_features_leave_fewer_bias_conflicting_films(gap: float, share: float) -> None:
    positive = np.minimum(np.arange(2000) % 4, 1)
    score = np.random.default_rng(0).normal(gap * positive)
    chosen = bias_conflicting(positive, np.column_stack([-score, score]))
    assert chosen[positive == 1].mean() == pytest.approx(share, abs=0.02)
    assert chosen[positive == 0].mean() == pytest.approx(share, abs=0.02)


def test_the_same_share_of_three_classes_is_bias_conflicting_at_chance_auroc() -> None:
    labels = np.arange(3000) % 6 // 2 * (np.arange(3000) % 6 > 1)
    logits = np.random.default_rng(0).normal(1.5 * np.eye(3)[labels])
    chosen = bias_conflicting(labels, logits)
    assert ovr_auroc(labels, logits) > 0.8
    assert 0.45 < ovr_auroc(labels[chosen], logits[chosen]) <= 0.5
    shares = [chosen[labels == label].mean() for label in range(3)]
    assert min(shares) > 0.05
    assert max(shares) - min(shares) < 0.01
