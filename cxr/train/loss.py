"""The training loss, with label smoothing and class weights, and the check that it is finite."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cxr.core.errors import CxrError

GPU_LOSS_CHECK = 20  # steps between checks of the loss on a GPU


def film_losses(logits: Tensor, labels: Tensor, kind: str, smoothing: float, weights: Tensor) -> Tensor:
    """Loss of each film, (N,), times the weight of its class.

    Args:
        logits: (N,) for two classes or (N, K).
        labels: (N,) class indices.
        kind: `bce` (one logistic loss per output, averaged over outputs) or `cross_entropy` (softmax). With two classes
            and one logit both are the same function.
        smoothing: share of the target spread evenly over the classes (Szegedy et al. 2016).
        weights: (K,) by class.
    """
    classes = len(weights)
    # Not `one_hot`, which reads the labels' range.
    one_hot = (labels[:, None] == torch.arange(classes, device=labels.device)).to(logits.dtype)
    target = one_hot * (1 - smoothing) + smoothing / classes
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


class LossCheck:
    """Raises when a loss is not finite. On a GPU it checks every 20 steps, since each check waits for the GPU."""

    def __init__(self) -> None:
        self.unchecked: list[tuple[int, Tensor]] = []  # losses with their batch

    def add(self, batch: int, loss: Tensor, epoch: int, rate: float) -> None:
        """Record the loss of a batch, and check when due."""
        self.unchecked.append((batch, loss))
        if loss.device.type == "cpu" or len(self.unchecked) >= GPU_LOSS_CHECK:
            self.look(epoch, rate)

    def look(self, epoch: int, rate: float) -> None:
        """Raise CxrError, with position and learning rate, when a loss since the last check was not finite."""
        values = torch.stack([loss for _, loss in self.unchecked]).tolist() if self.unchecked else []
        for (batch, _), value in zip(self.unchecked, values, strict=True):
            if not math.isfinite(value):
                raise CxrError(
                    f"train: the loss is {value} at epoch {epoch}, step {batch} (lr {rate:.3g}); "
                    "lower train.lr, raise train.warmup, or set train.amp: bf16 where it is fp16"
                )
        self.unchecked.clear()
