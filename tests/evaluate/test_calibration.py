import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from cxr.decision.operating_point import calibrated
from cxr.evaluate.fit import fit_temperature
from cxr.evaluate.metrics import reliability_table


def _logits(classes: int, films: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the true distribution of the labels."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (films, classes))
    probability = calibrated(logits, 1.0)
    labels = (random.random((films, 1)) > probability.cumsum(axis=1)).sum(axis=1)
    return logits, labels


def test_the_temperature_that_was_applied_is_found_again_for_two_classes():
    logits, labels = _logits(2)
    assert fit_temperature(3.0 * (logits[:, 1] - logits[:, 0]), labels).value == pytest.approx(3.0, rel=0.05)


def test_the_temperature_that_was_applied_is_found_again_for_four_classes():
    logits, labels = _logits(4)
    assert fit_temperature(0.5 * logits, labels).value == pytest.approx(0.5, rel=0.05)


def test_no_other_temperature_has_a_lower_loss():
    logits, labels = _logits(3, films=300)
    best = fit_temperature(logits * 1.7, labels).value

    def loss(temperature: float) -> float:
        return float(cross_entropy(torch.tensor(logits * 1.7 / temperature), torch.tensor(labels)))

    assert loss(best) < min(loss(best * 1.01), loss(best / 1.01))


def test_a_separated_validation_set_keeps_temperature_1_and_says_why():
    found = fit_temperature(np.array([-2.0, -1.0, 1.0, 2.0]), np.array([0, 0, 1, 1]))
    assert found.value == 1.0
    assert "separated without error" in found.reason


@pytest.mark.parametrize("scale", [0.01, 1.0, 50.0])
def test_separation_is_told_whatever_the_scale_of_the_logits(scale: float):
    three = scale * np.array([[5.0, 0, 0], [0, 9, 0], [0, 0, 20], [7, 0, 0]])
    for logits, labels in ((three, np.array([0, 1, 2, 0])), (scale * np.array([-2.0, 1.0]), np.array([0, 1]))):
        found = fit_temperature(logits, labels)
        assert (found.value, "separated" in found.reason) == (1.0, True)


def test_small_logits_that_overlap_are_not_called_separated():
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    logits = 0.01 * random.normal(2.0 * labels - 1, 1.0)
    found = fit_temperature(logits, labels)
    assert found.reason == ""
    assert 0.0005 < found.value < 0.05


def test_one_class_keeps_temperature_1_and_says_why():
    found = fit_temperature(np.array([0.3, 0.1]), np.array([1, 1]))
    assert (found.value, found.reason) == (1.0, "validation has films of one class only")


def test_the_reliability_table_counts_each_film_once():
    table = reliability_table(np.array([0, 1, 1, 1.0]), np.array([0.02, 0.04, 0.91, 1.0]))
    assert table.round(9).to_dict("list") == {"predicted": [0.03, 0.955], "observed": [0.5, 1.0], "films": [2, 2]}
