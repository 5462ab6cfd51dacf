import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, roc_curve
from torch.nn.functional import cross_entropy

from cxr.core.errors import CxrError
from cxr.decision.operating_point import calibrated
from cxr.evaluate.fit import choose_threshold, fit_temperature, threshold_table


def _films() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    positive = (np.arange(300) % 3 == 0).astype(float)
    return positive, 1 / (1 + np.exp(-random.normal(2.0 * positive - 1, 1.2)))


def _choose(rule: str, positive: np.ndarray, probability: np.ndarray) -> float:
    return float(choose_threshold(rule, positive, probability, np.ones((1, len(positive))))[0])


def test_youden_maximises_sensitivity_plus_specificity():
    positive, probability = _films()
    fpr, tpr, _ = roc_curve(positive, probability)
    called = probability >= _choose("youden", positive, probability)
    assert called[positive == 1].mean() - called[positive == 0].mean() == pytest.approx((tpr - fpr).max())


def test_f1_maximises_f1_over_all_thresholds():
    positive, probability = _films()
    best = max(f1_score(positive, probability >= at) for at in probability)
    assert f1_score(positive, probability >= _choose("f1", positive, probability)) == pytest.approx(best)


def test_a_required_sensitivity_is_reached_with_the_fewest_false_positives():
    positive, probability = _films()
    at = _choose("sensitivity@0.95", positive, probability)
    assert (probability[positive == 1] >= at).mean() >= 0.95
    higher = probability[probability > at].min() + 1e-9
    stricter = np.sort(probability[(positive == 1) & (probability > at)])[0] + 1e-9
    assert (probability[positive == 1] >= max(higher, stricter)).mean() < 0.95


def test_the_threshold_lies_between_two_films():
    positive, probability = np.array([0, 0, 1, 1.0]), np.array([0.1, 0.2, 0.8, 0.9])
    assert _choose("youden", positive, probability) == pytest.approx(0.5)


def test_fixed_thresholds_need_no_films_of_both_classes():
    assert _choose("fixed", np.ones(3), np.full(3, 0.2)) == 0.5
    assert _choose("fixed@0.3", np.ones(3), np.full(3, 0.2)) == 0.3


def test_a_rule_without_both_classes_is_an_error_with_a_remedy():
    with pytest.raises(CxrError, match="youden needs validation films of both classes, and all 3 are of one"):
        _choose("youden", np.ones(3), np.full(3, 0.2))


def test_weights_give_the_threshold_of_repeated_films():
    positive, probability = _films()
    counts = np.random.default_rng(1).integers(0, 3, 300)
    weighted = choose_threshold("youden", positive, probability, counts[None].astype(float))[0]
    repeated = _choose("youden", positive.repeat(counts), probability.repeat(counts))
    called = [probability.repeat(counts) >= at for at in (weighted, repeated)]
    truth = positive.repeat(counts)
    merits = [one[truth == 1].mean() - one[truth == 0].mean() for one in called]
    assert merits[0] == pytest.approx(merits[1])


def test_the_threshold_curve_starts_with_all_films_predicted_positive():
    positive, probability = _films()
    table = threshold_table(positive, probability)
    assert (table["sensitivity"][0], table["specificity"][0]) == (1.0, 0.0)
    half = probability >= 0.5
    assert table["f1"][50] == pytest.approx(f1_score(positive, half))


def _logits(classes: int, films: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the true distribution of the labels."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (films, classes))
    probability = calibrated(logits, 1.0)
    labels = (random.random((films, 1)) > probability.cumsum(axis=1)).sum(axis=1)
    return logits, labels


def test_the_applied_temperature_is_recovered_for_two_classes():
    logits, labels = _logits(2)
    assert fit_temperature(3.0 * (logits[:, 1] - logits[:, 0]), labels).value == pytest.approx(3.0, rel=0.05)


def test_the_applied_temperature_is_recovered_for_four_classes():
    logits, labels = _logits(4)
    assert fit_temperature(0.5 * logits, labels).value == pytest.approx(0.5, rel=0.05)


def test_no_other_temperature_has_a_lower_loss():
    logits, labels = _logits(3, films=300)
    best = fit_temperature(logits * 1.7, labels).value

    def loss(temperature: float) -> float:
        return float(cross_entropy(torch.tensor(logits * 1.7 / temperature), torch.tensor(labels)))

    assert loss(best) < min(loss(best * 1.01), loss(best / 1.01))


def test_separated_films_keep_temperature_1_with_a_reason():
    found = fit_temperature(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]))
    assert found.value == 1.0
    assert "separated without error" in found.reason


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
def test_separation_is_detected_at_any_scale_of_the_logits(scale: float):
    three = scale * np.array([[5.0, 0, 0], [0, 9, 0], [0, 0, 20], [7, 0, 0]])
    for logits, labels in ((three, np.array([0, 1, 2, 0])), (scale * np.array([-2.0, 1.0]), np.array([0, 1]))):
        found = fit_temperature(logits, labels)
        assert (found.value, "separated" in found.reason) == (1.0, True)


def test_small_overlapping_logits_are_not_reported_as_separated():
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    logits = 0.01 * random.normal(2.0 * labels - 1, 1.0)
    found = fit_temperature(logits, labels)
    assert found.reason == ""
    assert 0.0005 < found.value < 0.05


def test_one_class_keeps_temperature_1_with_a_reason():
    found = fit_temperature(np.array([0.3, 0.1]), np.array([1, 1]))
    assert (found.value, found.reason) == (1.0, "validation has films of one class only")
