import math

import pytest
import torch

from cxr.train.loss import class_weights, film_losses

ONE = torch.ones(2)


def log_sigmoid(value: float) -> float:
    return -math.log1p(math.exp(-value))


def test_label_smoothing_gives_the_hand_computed_loss() -> None:
    loss = film_losses(torch.tensor([0.7, -1.2]), torch.tensor([1, 0]), "bce", 0.1, ONE)
    first = -(0.95 * log_sigmoid(0.7) + 0.05 * log_sigmoid(-0.7))
    second = -(0.05 * log_sigmoid(-1.2) + 0.95 * log_sigmoid(1.2))
    assert loss.tolist() == pytest.approx([first, second])


def test_class_weights_give_the_hand_computed_loss() -> None:
    weights = class_weights([30, 10], "weights")
    assert weights.tolist() == pytest.approx([40 / 60, 40 / 20])
    loss = film_losses(torch.tensor([0.7, -1.2]), torch.tensor([1, 0]), "bce", 0.0, weights)
    assert loss.tolist() == pytest.approx([-2.0 * log_sigmoid(0.7), -(2 / 3) * log_sigmoid(1.2)])


def test_weights_leave_the_mean_loss_of_a_whole_epoch_on_its_scale() -> None:
    labels = torch.tensor([0] * 30 + [1] * 10)
    weights = class_weights([30, 10], "weights")
    assert film_losses(torch.zeros(40), labels, "bce", 0.0, weights).mean() == pytest.approx(math.log(2))


def test_without_balancing_every_class_counts_one() -> None:
    assert class_weights([30, 10], "none").tolist() == [1, 1]
    assert class_weights([30, 10], "sampler").tolist() == [1, 1]


def test_one_logit_and_two_logits_of_its_softmax_have_the_same_loss() -> None:
    logit = torch.tensor([0.3, -2.0])
    labels = torch.tensor([0, 1])
    pair = torch.stack([torch.zeros(2), logit], dim=1)
    one = film_losses(logit, labels, "bce", 0.05, ONE)
    assert one.tolist() == pytest.approx(film_losses(pair, labels, "cross_entropy", 0.05, ONE).tolist())


def test_three_classes_smoothed_cross_entropy_is_torchs_own() -> None:
    logits, labels = torch.randn(5, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 1, 0])
    ours = film_losses(logits, labels, "cross_entropy", 0.1, torch.ones(3))
    torchs = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
    assert ours.tolist() == pytest.approx(torchs.tolist(), rel=1e-5)


def test_bce_of_three_classes_is_the_mean_of_three_logistic_losses() -> None:
    loss = film_losses(torch.tensor([[1.0, -1.0, 0.5]]), torch.tensor([2]), "bce", 0.0, torch.ones(3))
    by_hand = -(log_sigmoid(-1.0) + log_sigmoid(1.0) + log_sigmoid(0.5)) / 3
    assert loss.item() == pytest.approx(by_hand)
