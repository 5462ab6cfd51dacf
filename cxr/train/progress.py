"""What a run says while it trains: a line now and then, and the history after each epoch."""

import logging
import time
from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from cxr.train.films import COPIES
from cxr.train.module import TrainingModule
from cxr.train.recipe import Row

log = logging.getLogger(__name__)
LOG_SECONDS = 20.0


class Progress(Checkpoint):  # not for saving: these are called after the module's own hook, which writes the row
    """Logs the batch it is at, and hands the history to its listeners after each epoch."""

    def __init__(self) -> None:
        self.listeners: list[Callable[[list[Row]], None]] = []
        self.logged = time.monotonic()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Log the position now and then."""
        module: TrainingModule = pl_module
        now = time.monotonic()
        if now - self.logged > LOG_SECONDS:
            log.info("epoch %d: batch %d of %d", module.epoch, module.batch, module.steps)
            self.logged = now

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Publish the history."""
        if trainer.is_global_zero:
            for listener in self.listeners:
                listener(pl_module.history)


def log_epoch(history: list[Row]) -> None:
    """Log the epoch just done; `cxr.aws.container.workspace.METRICS` reads this line."""
    row = history[-1]
    copies = "".join(f", {name} AUROC {row[f'{name}_auroc']:.4f}" for name in COPIES if f"{name}_auroc" in row)
    plain = "epoch %d: train loss %.4f, validation loss %.4f AUROC %.4f%s"
    log.info(plain, *(row[name] for name in ("epoch", "train_loss", "val_loss", "val_auroc")), copies)
