"""An interrupted run resumes where it was: its state on disk, SIGTERM, and the classifier that is kept so far."""

import json
import logging
import os
import pickle
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint

from cxr.models.classifier import save_classifier
from cxr.train.config import TrainSection
from cxr.train.module import TrainingModule
from cxr.train.recipe import Row, kept_epoch

log = logging.getLogger(__name__)
SAVE_SECONDS = 60.0
LOG_SECONDS = 20.0
SIGTERM_EXIT = 128 + signal.SIGTERM


class RunState(Checkpoint):
    """Keeps `resume.ckpt` and `kept-<epoch>.ckpt` of a run in a folder, and leaves with exit code 143 on SIGTERM.

    State is saved between two batches, when no gradient is pending: at the start of each epoch, every minute, and when
    SIGTERM comes. Since all randomness is a function of the position, resuming from any of these ends the same.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.listeners: list[Callable[[list[Row]], None]] = []  # get the history after each epoch
        self.terminated = False
        self.saved = self.told = time.monotonic()

    @property
    def resume_path(self) -> Path:
        """The state from which a run resumes."""
        return self.folder / "resume.ckpt"

    def kept_path(self, history: list[Row], settings: TrainSection) -> Path:
        """The classifier of the epoch of a history that is kept so far."""
        return self.folder / f"kept-{kept_epoch(history, settings)}.ckpt"

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Replace Lightning's SIGTERM handler, which stops without saving."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminate)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Save when it is time, and go when SIGTERM came."""
        module: TrainingModule = pl_module
        now = time.monotonic()
        if now - self.told > LOG_SECONDS:
            log.info("epoch %d: batch %d of %d", module.epoch, module.batch, module.steps)
            self.told = now
        if not module.at_optimizer_step:
            return
        leave, due = self._any(trainer, self.terminated), now - self.saved > SAVE_SECONDS
        if leave or module.batch == 0 or self._any(trainer, due):
            self._save(trainer, module)
        if leave:
            log.warning("SIGTERM: saved at epoch %d, batch %d; run again to resume", module.epoch, module.batch)
            sys.exit(SIGTERM_EXIT)

    def on_validation_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Leave at once: the state of the last minute is on disk."""
        if self._any(trainer, self.terminated):
            log.warning("SIGTERM during validation; run again to resume from the last saved state")
            sys.exit(SIGTERM_EXIT)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Keep the classifier when it is the one to be kept so far, and publish the history."""
        module: TrainingModule = pl_module
        if not trainer.is_global_zero:
            return
        kept = kept_epoch(module.history, module.settings)
        if kept == len(module.history) - 1:
            module.scored.facts["kept"] = module.history[kept]
            save_classifier(self.kept_path(module.history, module.settings), module.scored)
        for listener in self.listeners:
            listener(module.history)

    def position(self, settings: TrainSection) -> tuple[int, int] | None:
        """Epoch and batch of the saved state, or None when there is none that can be read and is whole."""
        if not self.resume_path.is_file():
            return None
        try:
            position = torch.load(self.resume_path, map_location="cpu", weights_only=True, mmap=True)["position"]
            history: list[Row] = json.loads(position["history"])
            # A copy that was taken file by file, as SageMaker takes it, may lack the classifier of this moment.
            if history and not self.kept_path(history, settings).is_file():
                log.warning("%s: the kept classifier is not there; training starts over", self.folder)
                return None
            return position["epoch"], position["batch"]
        except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError):
            log.warning("%s: cannot be read; training starts over", self.resume_path)
            return None

    def clear(self) -> None:
        """Forget the state of a run that is complete, so that the next run of the same recipe trains anew."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _save(self, trainer: L.Trainer, module: TrainingModule) -> None:
        temporary = self.resume_path.with_suffix(".tmp")
        trainer.save_checkpoint(temporary, weights_only=False)
        if trainer.is_global_zero:
            os.replace(temporary, self.resume_path)
            # Only now is an earlier one of no use: the state on disk knows of the later one.
            kept = self.kept_path(module.history, module.settings) if module.history else None
            for path in self.folder.glob("kept-*.ckpt"):
                if path != kept:
                    path.unlink()
        self.saved = time.monotonic()

    def _terminate(self, *_: Any) -> None:
        self.terminated = True

    @staticmethod
    def _any(trainer: L.Trainer, decision: bool) -> bool:
        """Whether any process decided so; they must leave together."""
        return decision if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(decision, all=False)


@contextmanager
def sigterm_exits() -> Iterator[None]:
    """While no state can be saved yet, SIGTERM ends the process at once, with the exit code that it has later."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(SIGTERM_EXIT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
