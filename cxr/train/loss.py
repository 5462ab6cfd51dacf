"""The training loss: label smoothing, class weights, one logit or several."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def film_losses(logits: Tensor, labels: Tensor, kind: str, smoothing: float, weights: Tensor) -> Tensor:
    """Loss of each film, (N,), times the weight of its class.

    Args:
        logits: (N,) for two classes or (N, K).
        labels: (N,) class indices.
        kind: `bce` (one logistic loss an output, averaged over outputs) or `cross_entropy` (softmax). With two classes
            and one logit both are the same function.
        smoothing: share of the target spread evenly over the classes (Szegedy et al. 2016).
        weights: (K,) by class.
    """
    classes = len(weights)
    target = F.one_hot(labels, classes).to(logits.dtype) * (1 - smoothing) + smoothing / classes
    if logits.ndim == 1:
        each = F.binary_cross_entropy_with_logits(logits, target[:, 1], reduction="none")
    elif kind == "bce":
        each = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=1)
    else:
        each = F.cross_entropy(logits, target, reduction="none")
    return each * weights[labels]


def class_weights(counts: Sequence[int], balance: str) -> Tensor:
    """Weight of each class: films / (classes * films of the class) with balance `weights`, else one."""
    count = torch.tensor(counts, dtype=torch.float32)
    return count.sum() / (len(counts) * count) if balance == "weights" else torch.ones_like(count)
