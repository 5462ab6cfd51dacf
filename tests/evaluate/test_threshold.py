import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_curve

from cxr.core.errors import CxrError
from cxr.evaluate.fit import choose_threshold, threshold_table


def _films() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    positive = (np.arange(300) % 3 == 0).astype(float)
    return positive, 1 / (1 + np.exp(-random.normal(2.0 * positive - 1, 1.2)))


def _choose(rule: str, positive: np.ndarray, probability: np.ndarray) -> float:
    return float(choose_threshold(rule, positive, probability, np.ones((1, len(positive))))[0])


def test_youden_reaches_the_best_sum_of_the_roc_curve():
    positive, probability = _films()
    fpr, tpr, _ = roc_curve(positive, probability)
    called = probability >= _choose("youden", positive, probability)
    assert called[positive == 1].mean() - called[positive == 0].mean() == pytest.approx((tpr - fpr).max())


def test_f1_reaches_the_best_f1_of_all_thresholds():
    positive, probability = _films()
    best = max(f1_score(positive, probability >= at) for at in probability)
    assert f1_score(positive, probability >= _choose("f1", positive, probability)) == pytest.approx(best)


def test_a_wanted_sensitivity_is_reached_with_as_few_false_calls_as_possible():
    positive, probability = _films()
    at = _choose("sensitivity@0.95", positive, probability)
    assert (probability[positive == 1] >= at).mean() >= 0.95
    higher = probability[probability > at].min() + 1e-9
    stricter = np.sort(probability[(positive == 1) & (probability > at)])[0] + 1e-9
    assert (probability[positive == 1] >= max(higher, stricter)).mean() < 0.95


def test_the_threshold_lies_between_films_and_not_on_one():
    positive, probability = np.array([0, 0, 1, 1.0]), np.array([0.1, 0.2, 0.8, 0.9])
    assert _choose("youden", positive, probability) == pytest.approx(0.5)


def test_fixed_thresholds_need_no_films_of_both_classes():
    assert _choose("fixed", np.ones(3), np.full(3, 0.2)) == 0.5
    assert _choose("fixed@0.3", np.ones(3), np.full(3, 0.2)) == 0.3


def test_a_rule_that_cannot_choose_says_what_it_needs():
    with pytest.raises(CxrError, match="youden needs validation films of both classes, and all 3 are of one"):
        _choose("youden", np.ones(3), np.full(3, 0.2))


def test_weights_choose_as_repeated_films_would():
    positive, probability = _films()
    counts = np.random.default_rng(1).integers(0, 3, 300)
    weighted = choose_threshold("youden", positive, probability, counts[None].astype(float))[0]
    repeated = _choose("youden", positive.repeat(counts), probability.repeat(counts))
    called = [probability.repeat(counts) >= at for at in (weighted, repeated)]
    truth = positive.repeat(counts)
    merits = [one[truth == 1].mean() - one[truth == 0].mean() for one in called]
    assert merits[0] == pytest.approx(merits[1])


def test_the_threshold_curve_starts_with_all_films_called():
    positive, probability = _films()
    table = threshold_table(positive, probability)
    assert (table["sensitivity"][0], table["specificity"][0]) == (1.0, 0.0)
    half = probability >= 0.5
    assert table["f1"][50] == pytest.approx(f1_score(positive, half))
