"""Decisions during training as pure functions of the history: best epoch, early stopping, learning rate.

They keep no state, so an interrupted run resumes without any.
"""

import math
from collections.abc import Sequence

from cxr.train.config import TrainSection

Row = dict[str, float]
BATCH, FEW_FILMS_BATCH, MANY_FILMS = 32, 16, 1000  # `train.batch: auto`
SCORED = ("val", "corrupted", "swapped")  # validation, and its perturbed copies if the set has them


def score(row: Row, monitor: str) -> float:
    """The monitored metric of an epoch, with the loss negated; `mean_` averages validation and its copies."""
    source, metric = monitor.split("_", 1)
    names = [name for name in SCORED if f"{name}_{metric}" in row] if source == "mean" else [source]
    value = sum(row[f"{name}_{metric}"] for name in names) / len(names)
    return -value if metric == "loss" else value


def best_epoch(history: Sequence[Row], monitor: str) -> int:
    """Index of the best epoch. Ties, frequent with few films, are resolved by the lower loss of the same films."""
    tie = monitor.split("_", 1)[0] + "_loss"
    return max(range(len(history)), key=lambda epoch: (score(history[epoch], monitor), score(history[epoch], tie)))


def selected_epoch(history: Sequence[Row], settings: TrainSection) -> int:
    """Index of the epoch whose classifier is kept: the last one, annealed to the end, or the best one."""
    return len(history) - 1 if settings.keep == "last" else best_epoch(history, settings.monitor)


def batch_size(films: int, settings: TrainSection) -> int:
    """Films per step over all devices; `auto` is smaller for few films, for more steps."""
    if settings.batch != "auto":
        return settings.batch
    return BATCH if films >= MANY_FILMS else FEW_FILMS_BATCH


def steps_per_epoch(films: int, settings: TrainSection) -> int:
    """Batches per epoch: every film once, or more for `min_steps` over the whole run."""
    return max(films // batch_size(films, settings), math.ceil(settings.min_steps / settings.epochs), 1)


def should_stop(history: Sequence[Row], settings: TrainSection) -> bool:
    """Whether training is over: all epochs are done, or the best epoch is `patience` epochs ago."""
    if not history:
        return False
    waited = len(history) - 1 - best_epoch(history, settings.monitor)
    return len(history) >= settings.epochs or 0 < settings.patience <= waited


def plateau_drops(history: Sequence[Row], settings: TrainSection) -> int:
    """How often the monitored metric did not improve for `plateau_patience` epochs."""
    drops = waited = 0
    best = -math.inf
    for row in history:
        value = score(row, settings.monitor)
        waited = 0 if value > best else waited + 1
        best = max(best, value)
        if waited >= settings.plateau_patience:
            drops, waited = drops + 1, 0
    return drops


def learning_rate(epoch: float, history: Sequence[Row], settings: TrainSection) -> float:
    """Learning rate at a fractional epoch.

    Linear warm-up, then half a cosine down to zero (Loshchilov & Hutter 2017), or steps down on plateaus.
    """
    warmup = settings.warmup * settings.epochs
    if epoch < warmup:
        return settings.lr * (epoch + 1e-2) / (warmup + 1e-2)
    if settings.schedule == "plateau":
        return float(settings.lr * settings.plateau_factor ** plateau_drops(history, settings))
    done = (epoch - warmup) / (settings.epochs - warmup)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
