import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from cxr.evaluate.curves import decision_curve_table, histogram_table, pr_table, roc_table


def _films(count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    positive = (random.random(count) < 0.4).astype(float)
    return positive, 1 / (1 + np.exp(-random.normal(2 * positive - 1, 1.0)))


def test_the_roc_curve_has_the_reported_area():
    positive, score = _films()
    table = roc_table(positive, score)
    assert auc(table["fpr"], table["tpr"]) == pytest.approx(roc_auc_score(positive, score), abs=1e-4)
    assert table.iloc[0].tolist() == [0.0, 0.0]
    assert table.iloc[-1].tolist() == [1.0, 1.0]


def test_the_precision_recall_curve_has_the_reported_area():
    positive, score = _films()
    table = pr_table(positive, score)
    steps = (table["recall"].diff() * table["precision"]).sum()
    assert steps == pytest.approx(average_precision_score(positive, score), abs=0.01)


def test_a_curve_of_many_films_stays_small():
    positive, score = _films(20_000)
    assert len(pr_table(positive, score)) <= 400


def test_the_histogram_counts_each_film_under_its_reference():
    positive, score = _films()
    table = histogram_table(positive, score)
    assert table["positive"].sum() == positive.sum()
    assert table["negative"].sum() == (1 - positive).sum()


def test_net_benefit_by_hand():
    """At 0.5, half of the ill and of the healthy are predicted positive: no net benefit at a prevalence of one half."""
    films = np.array([1, 1, 0, 0.0]), np.array([0.9, 0.1, 0.8, 0.2])
    table = decision_curve_table(*films, list("abcd"), 0.5).set_index("threshold")
    assert table.loc[0.5, "classifier"] == 0
    assert table.loc[0.25, "classifier"] == pytest.approx(1 / 4 - 1 / 4 / 3, abs=1e-5)
    assert table.loc[0.25, "call_all"] == pytest.approx(0.5 - 0.5 / 3, abs=1e-5)
    assert (table["call_none"] == 0).all()


def test_false_positives_cost_more_for_a_rare_finding():
    films = np.array([1, 1, 0, 0.0]), np.array([0.9, 0.1, 0.8, 0.2])
    table = decision_curve_table(*films, list("abcd"), 0.1).set_index("threshold")
    assert table.loc[0.25, "classifier"] == pytest.approx(0.1 * 0.5 - 0.9 * 0.5 / 3, abs=1e-5)


def test_the_interval_contains_the_curve_and_narrows_with_patients():
    random = np.random.default_rng(0)
    widths = []
    for count in (60, 600):
        positive = (np.arange(count) % 2).astype(float)
        probability = 1 / (1 + np.exp(-random.normal(2 * positive - 1, 1)))
        table = decision_curve_table(positive, probability, [f"p{i // 2}" for i in range(count)], 0.3)
        assert (table["classifier_low"] <= table["classifier"]).all()
        assert (table["classifier"] <= table["classifier_high"]).all()
        widths.append((table["classifier_high"] - table["classifier_low"]).iloc[20])
    assert widths[1] < widths[0] / 2
