"""The LightningModule: one training step, one validation step, and what must survive a killed run."""

import json
import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import lightning as L
import torch
from timm.optim._param_groups import param_groups_weight_decay
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torchmetrics import Metric
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, MulticlassAccuracy, MulticlassAUROC

from cxr.core.errors import CxrError
from cxr.models.classifier import Classifier
from cxr.train.augment import augment
from cxr.train.batches import Batch
from cxr.train.config import TrainSection
from cxr.train.depthwise import Fp32Depthwise
from cxr.train.loss import film_losses
from cxr.train.recipe import Row, ema_decay, finished, learning_rate

GPU_LOSS_CHECK = 20  # steps between looks at the loss: each one waits for the GPU


class TrainingModule(L.LightningModule):
    """A classifier in training: position, history and averaged weights are part of its checkpoint."""

    weights: Tensor

    def __init__(
        self, classifier: Classifier, settings: TrainSection, weights: Tensor, steps: int, sources: Sequence[str]
    ) -> None:
        super().__init__()
        self.classifier, self.settings, self.steps = classifier, settings, steps  # steps: batches an epoch
        self.sources = sources  # names of the validation loaders
        if not settings.backbone_lr:  # its normalisation statistics stay, too: Lightning keeps the mode of each part
            classifier.backbone.requires_grad_(False).eval()
        self.ema: AveragedModel | None = None
        if settings.ema:
            average = _ema_step(ema_decay(steps, settings))
            self.ema = AveragedModel(classifier, multi_avg_fn=average, use_buffers=True)
            self.ema.requires_grad_(False)
        self.register_buffer("weights", weights, persistent=False)
        # Sum over the epoch so far; no buffer, because DDP would overwrite it with that of the first process.
        self.train_loss = torch.zeros((), dtype=torch.float64)
        self.epoch = 0
        self.batch = 0  # batches of this epoch that are done
        self.history: list[Row] = []
        self.scores = nn.ModuleList([_scores(len(classifier.facts["classes"])) for _ in sources])
        self.unchecked: list[tuple[int, Tensor]] = []  # losses not yet looked at, with their batch

    @property
    def scored(self) -> Classifier:
        """The classifier that is validated and kept: the averaged one where there is one."""
        return self.classifier if self.ema is None else self.ema.module  # type: ignore[return-value]

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment training films where the model is; bring all films to the four channels of an NPZ."""
        image = batch["image"]
        if "draws" in batch:
            torch.manual_seed(batch["seed"])
            with torch.no_grad():
                image = augment(image, batch["draws"], self.settings.augment)
        if image.shape[1] == 2:
            image = image[:, [0, 0, 0, 1]]
        return {**batch, "image": image}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Set the learning rate of this moment."""
        rate = learning_rate(self.epoch + self.batch / self.steps, self.history, self.settings)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group["share"]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        settings = self.settings
        with Fp32Depthwise() if self.device.type == "cpu" and torch.is_autocast_enabled("cpu") else nullcontext():
            logits = self.classifier(batch["image"])
        loss = film_losses(logits, batch["label"], settings.loss, settings.label_smoothing, self.weights).mean()
        self.train_loss = self.train_loss.to(loss.device) + loss.detach()
        self.unchecked.append((self.batch, loss.detach()))
        if loss.device.type == "cpu" or len(self.unchecked) >= GPU_LOSS_CHECK:
            self.check_losses()
        # Lightning divides by `accumulate`; the last optimizer step of an epoch may have fewer batches behind it.
        begun = self.batch - self.batch % settings.accumulate
        return loss * (settings.accumulate / min(settings.accumulate, self.steps - begun))

    def check_losses(self) -> None:
        """Raise CxrError when a loss since the last look was no number."""
        for batch, loss in self.unchecked:
            if not math.isfinite(float(loss)):
                rate = self.trainer.optimizers[0].param_groups[-1]["lr"]
                raise CxrError(
                    f"train: the loss is {float(loss)} at epoch {self.epoch}, step {batch} (lr {rate:.3g}); "
                    "lower train.lr, raise train.warmup, or set train.amp: bf16 where it is fp16"
                )
        self.unchecked.clear()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Count the batch, and average the weights after each optimizer step."""
        self.batch += 1
        if self.ema is not None and self.at_optimizer_step:
            self.ema.update_parameters(self.classifier)

    @property
    def at_optimizer_step(self) -> bool:
        """Whether the batch just done ended with an optimizer step, so that no gradient is pending."""
        return self.batch % self.settings.accumulate == 0 or self.batch == self.steps

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score validation films (loader 0) and their copies; the loss without smoothing or weights."""
        if not len(batch["label"]):
            return
        logits = self.scored(batch["image"])
        plain = torch.ones_like(self.weights)
        scores: Any = self.scores[dataloader_idx]
        scores["loss"].update(film_losses(logits, batch["label"], self.settings.loss, 0.0, plain))
        prediction = logits.sigmoid() if logits.ndim == 1 else logits.softmax(dim=1)
        scores["auroc"].update(prediction, batch["label"])
        scores["accuracy"].update(prediction, batch["label"])

    def on_train_epoch_end(self) -> None:
        """Close the epoch: one row of history, counters on, and stop when the recipe says so."""
        self.check_losses()
        loss = float(self._over_ranks(self.train_loss)) / self.steps
        rate = self.trainer.optimizers[0].param_groups[-1]["lr"]
        row: Row = {"epoch": self.epoch, "lr": rate, "train_loss": loss}
        for source, scores in zip(self.sources, self.scores, strict=True):
            for name, metric in scores.items():  # type: ignore[operator]
                row[f"{source}_{name}"] = float(metric.compute())
                metric.reset()
        self.history.append(row)
        self.train_loss = torch.zeros_like(self.train_loss)
        self.epoch, self.batch = self.epoch + 1, 0
        self.trainer.should_stop = finished(self.history, self.settings)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW; biases and normalisation are not decayed. The last group is the head's: the history shows its rate."""
        parts = ((self.classifier.backbone, self.settings.backbone_lr), (self.classifier.head, 1.0))
        groups = [
            group | {"share": share}
            for part, share in parts
            for group in param_groups_weight_decay(part, self.settings.weight_decay)
        ]
        # Undecayed weights first, backbone before head: clipping adds up squares in this order, and rounds them in it.
        groups.sort(key=lambda group: group["weight_decay"])
        # The plain optimizer takes its square roots from MKL, which rounds them differently from maker to maker.
        fused = True if self.settings.portable and self.device.type == "cpu" else None
        return torch.optim.AdamW(groups, lr=self.settings.lr, fused=fused)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store where training stands; Lightning's own counters are left out, each run counts from zero."""
        self.check_losses()
        checkpoint.pop("loops")
        checkpoint["position"] = {
            "epoch": self.epoch,
            "batch": self.batch,
            "history": json.dumps(self.history),
            "train_loss": self._over_ranks(self.train_loss),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take up the stored position."""
        position = checkpoint["position"]
        self.epoch, self.batch = position["epoch"], position["batch"]
        self.history, self.train_loss = json.loads(position["history"]), position["train_loss"]

    def _over_ranks(self, value: Tensor) -> Tensor:
        """Mean over processes of what each keeps for its share of the films."""
        mean: Tensor = self.trainer.strategy.reduce(value.clone(), reduce_op="mean")
        return mean


def _scores(classes: int) -> nn.ModuleDict:
    auroc: Metric = BinaryAUROC() if classes == 2 else MulticlassAUROC(classes)
    accuracy: Metric = BinaryAccuracy() if classes == 2 else MulticlassAccuracy(classes, average="micro")
    return nn.ModuleDict({"loss": MeanMetric(), "auroc": auroc, "accuracy": accuracy})


def _ema_step(decay: float) -> Any:
    """Exponential average whose decay grows from small, so that a short run is not held by its first weights."""

    def average(averaged: Any, current: Any, updates: Tensor | int) -> None:
        done = float(updates)  # waits for a GPU once a step, not once a tensor
        share = 1 - min(decay, (1 + done) / (10 + done))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, share)
        else:
            torch._foreach_copy_(averaged, current)  # counters

    return average
