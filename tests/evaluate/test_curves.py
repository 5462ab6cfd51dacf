import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from cxr.evaluate.curves import histogram_table, pr_table, roc_table


def _films(count: int = 500) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    positive = (random.random(count) < 0.4).astype(float)
    return positive, 1 / (1 + np.exp(-random.normal(2 * positive - 1, 1.0)))


def test_the_roc_curve_drawn_has_the_area_reported():
    positive, score = _films()
    table = roc_table(positive, score)
    assert auc(table["fpr"], table["tpr"]) == pytest.approx(roc_auc_score(positive, score), abs=1e-4)
    assert table.iloc[0].tolist() == [0.0, 0.0]
    assert table.iloc[-1].tolist() == [1.0, 1.0]


def test_the_precision_recall_curve_drawn_has_the_area_reported():
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
