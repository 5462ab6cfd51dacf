"""The training loop. Lightning Fabric provides devices, DDP and mixed precision.

All randomness is a function of (seed, epoch, batch), so a run resumes from any saved position with the same bits.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from lightning.fabric import Fabric
from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]  # timm has no __all__
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.aggregation import MeanMetric
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, MulticlassAccuracy, MulticlassAUROC

from cxr.models.classifier import Classifier
from cxr.runtime.console import progress
from cxr.train.augment import augment
from cxr.train.config import TrainSection
from cxr.train.data import Batch, FilmData
from cxr.train.device import Fp32Depthwise, Fp32Input, agree, leave_together, mean_over_processes
from cxr.train.gradients import FastDepthwiseGradients
from cxr.train.loss import LossCheck, class_weights, film_losses
from cxr.train.recipe import Row, learning_rate, should_stop
from cxr.train.state import SIGTERM_EXIT, Position, RunState, Sigterm

log = logging.getLogger(__name__)


def fit(
    fabric: Fabric,
    classifier: Classifier,
    data: FilmData,
    settings: TrainSection,
    state: RunState,
    at: Position,
    tensors: dict[str, Any],
    sigterm: Sigterm,
    listeners: Sequence[Callable[[list[Row]], None]],
) -> None:
    """Train from position `at`, with the `tensors` saved there, until `should_stop`; updates `at` in place.

    Raises:
        CxrError: the loss is not finite.
        SystemExit: after SIGTERM; the state is saved.
    """
    model, optimizer = set_up(fabric, classifier, settings)
    if tensors:
        classifier.load_state_dict(tensors["classifier"])
        optimizer.load_state_dict(tensors["optimizer"])
        fabric.strategy.precision.load_state_dict(tensors["precision"])
    at.loss_sum = at.loss_sum.to(fabric.device)
    weights = class_weights(data.films.counts("train"), settings.balance).to(fabric.device)
    losses = LossCheck()
    sigterm.waits = True

    while not should_stop(at.history, settings):
        classifier.train()
        if not settings.backbone_lr:
            classifier.backbone.eval()  # a frozen backbone keeps its normalisation statistics, too
        batches = data.train_batches(at.epoch, at.batch, fabric.device)
        if fabric.is_global_zero:
            batches = progress(batches, data.steps - at.batch, f"epoch {at.epoch}", "step")
        for batch in batches:
            pending = at.batch % settings.accumulate  # batches accumulated since the last optimizer step
            if not pending:
                due = at.batch == 0 or (fabric.is_global_zero and state.is_due())
                leave, due = agree(fabric, sigterm.received, due)
                if leave or due:
                    losses.look(at.epoch, optimizer.param_groups[-1]["lr"])
                    save(fabric, classifier, optimizer, settings, state, at)
                if leave:
                    log.warning("SIGTERM: saved at epoch %d, batch %d; run again to resume", at.epoch, at.batch)
                    leave_together(fabric, SIGTERM_EXIT)
            group = min(settings.accumulate, data.steps - (at.batch - pending))  # the last of an epoch may be smaller
            last = pending + 1 == group
            rate = learning_rate(at.epoch + at.batch / data.steps, at.history, settings)
            for parameters in optimizer.param_groups:
                parameters["lr"] = rate * parameters["share"]
            with fabric.no_backward_sync(model, enabled=not last):
                loss = train_step(fabric, model, batch, settings, weights, group)
            losses.add(at.batch, loss, at.epoch, rate)
            at.loss_sum = at.loss_sum + loss
            if last:
                step_optimizer(fabric, model, optimizer, settings.clip)
            at.batch += 1
        losses.look(at.epoch, optimizer.param_groups[-1]["lr"])
        train_loss = float(mean_over_processes(fabric, at.loss_sum)) / data.steps
        scores = validate(fabric, classifier, data, settings, sigterm)
        row = {"epoch": at.epoch, "lr": optimizer.param_groups[-1]["lr"], "train_loss": train_loss, **scores}
        at.history.append(row)
        at.epoch, at.batch, at.loss_sum = at.epoch + 1, 0, torch.zeros_like(at.loss_sum)
        if fabric.is_global_zero:
            state.keep(classifier, at.history, settings)
            for listener in listeners:
                listener(at.history)
    sigterm.waits = False


def set_up(fabric: Fabric, classifier: Classifier, settings: TrainSection) -> tuple[Any, Any]:
    """Fabric's model and optimizer, from a classifier that is laid out and frozen as the settings say."""
    classifier.to(memory_format=torch.channels_last)  # 1.5 times as fast on CPU and GPU
    for layer in classifier.modules():
        if isinstance(layer, (nn.Hardtanh, nn.SiLU, nn.Hardswish)):
            layer.inplace = False  # in place, autograd would first copy the input, which the gradient needs
    if settings.compile:
        classifier.compile()
    classifier.backbone.requires_grad_(bool(settings.backbone_lr))
    return fabric.setup_module(classifier), fabric.setup_optimizers(adamw(classifier, settings, fabric))


def train_step(fabric: Fabric, model: Any, batch: Batch, settings: TrainSection, weights: Tensor, group: int) -> Tensor:
    """Augment, forward and backward for one of the `group` batches of an optimizer step; returns its loss."""
    torch.manual_seed(batch["seed"])
    with torch.no_grad():
        image = four_channels(augment(batch["image"], batch["plan"], settings.augment))
    with ExitStack() as modes:
        if fabric.device.type == "cpu":
            if not settings.compile:
                modes.enter_context(FastDepthwiseGradients())
            if isinstance(fabric.strategy.precision, Fp32Input):
                modes.enter_context(Fp32Depthwise())
        logits = model(image)
    loss = film_losses(logits, batch["label"], settings.loss, settings.label_smoothing, weights).mean()
    fabric.backward(loss / group)
    return loss.detach()


def step_optimizer(fabric: Fabric, model: Any, optimizer: Any, clip: float) -> None:
    """Clip the norm of the gradients (0 = off), and step."""
    if clip:
        fabric.clip_gradients(model, optimizer, max_norm=clip, error_if_nonfinite=False)
    optimizer.step()
    optimizer.zero_grad()


def four_channels(image: Tensor) -> Tensor:
    """Images [grey, mask], (N, 2, H, W), expanded to the channels of an NPZ; others unchanged."""
    return torch.cat([image[:, :1].expand(-1, 3, -1, -1), image[:, 1:]], dim=1) if image.shape[1] == 2 else image


def adamw(classifier: Classifier, settings: TrainSection, fabric: Fabric) -> torch.optim.Optimizer:
    """AdamW without decay of biases and normalisation. The last group is the head's: the history has its rate."""
    parts = ((classifier.backbone, settings.backbone_lr), (classifier.head, 1.0))
    groups = [
        group | {"share": share}
        for part, share in parts
        for group in param_groups_weight_decay(part, settings.weight_decay)
    ]
    # Undecayed weights first, backbone before head: this order of sums in clipping decides the rounding.
    groups.sort(key=lambda group: group["weight_decay"])
    # On a CPU the plain optimizer uses MKL for square roots, whose rounding depends on the processor's vendor; on a GPU
    # it launches ten times as many kernels. With fp16 the fused one scales gradients itself, which clipping forbids.
    fused = getattr(fabric.strategy.precision, "scaler", None) is None
    return torch.optim.AdamW(groups, lr=settings.lr, fused=fused)


def validate(fabric: Fabric, classifier: Classifier, data: FilmData, settings: TrainSection, sigterm: Sigterm) -> Row:
    """Loss (without smoothing or class weights), AUROC and accuracy of the validation films and of each copy."""
    classifier.eval()
    if fabric.world_size > 1:  # the normalisation statistics differ between processes; use those of the first
        for buffer in classifier.buffers():
            torch.distributed.broadcast(buffer, 0)
    row: Row = {}
    for source, films in data.films.scored.items():
        metrics = new_metrics(len(data.films.classes), fabric.device)
        for batch in data.scored_batches(films, fabric.device):
            if any(agree(fabric, sigterm.received)):
                log.warning("SIGTERM during validation; run again to resume from the last saved state")
                leave_together(fabric, SIGTERM_EXIT)
            if len(batch["label"]):
                score(fabric, classifier, batch, settings, metrics)
        row |= {f"{source}_{name}": float(metric.compute()) for name, metric in metrics.items()}
    return row


@torch.inference_mode()
def score(
    fabric: Fabric, classifier: Classifier, batch: Batch, settings: TrainSection, metrics: dict[str, Metric]
) -> None:
    """Add a batch of films to the metrics."""
    # Not with `model`: DDP's wrapper would wait for the other processes, which may have no films left.
    with fabric.autocast():
        logits = classifier(four_channels(batch["image"]))
        plain = torch.ones(logits.shape[1] if logits.ndim > 1 else 2, device=logits.device)
        losses = film_losses(logits, batch["label"], settings.loss, 0.0, plain)
        prediction = logits.sigmoid() if logits.ndim == 1 else logits.softmax(dim=1)
    metrics["loss"].update(losses)
    metrics["auroc"].update(prediction, batch["label"])
    metrics["accuracy"].update(prediction, batch["label"])


def new_metrics(classes: int, device: torch.device) -> dict[str, Metric]:
    """The metrics of one set of films; `compute` combines all processes."""
    auroc: Metric = BinaryAUROC() if classes == 2 else MulticlassAUROC(classes)
    accuracy: Metric = BinaryAccuracy() if classes == 2 else MulticlassAccuracy(classes, average="micro")
    return {
        name: metric.to(device) for name, metric in (("loss", MeanMetric()), ("auroc", auroc), ("accuracy", accuracy))
    }


def save(
    fabric: Fabric, classifier: Classifier, optimizer: Any, settings: TrainSection, state: RunState, at: Position
) -> None:
    """Save, in the first process, the state from which all processes resume."""
    loss_sum = mean_over_processes(fabric, at.loss_sum)
    if fabric.is_global_zero:
        tensors = {"classifier": classifier.state_dict(), "optimizer": optimizer.state_dict()}
        tensors["precision"] = fabric.strategy.precision.state_dict()  # the loss scale of fp16
        state.save(Position(at.epoch, at.batch, loss_sum, at.history), tensors, settings)
