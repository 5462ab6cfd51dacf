"""An interrupted run resumes where it was: what of it is on disk, and when it is saved."""

import json
import logging
import os
import pickle
import shutil
import time
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


class RunState:
    """The files of an unfinished run: `resume.ckpt`, and `kept-<epoch>.ckpt`, the classifier to be kept so far."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    @property
    def resume_path(self) -> Path:
        """The state from which a run resumes."""
        return self.folder / "resume.ckpt"

    def kept_path(self, history: list[Row], settings: TrainSection) -> Path:
        """The classifier of the epoch of a history that is kept so far."""
        return self.folder / f"kept-{kept_epoch(history, settings)}.ckpt"

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
        except (OSError, RuntimeError, LookupError, EOFError, TypeError, ValueError, pickle.UnpicklingError):
            log.warning("%s: cannot be read; training starts over", self.resume_path)
            return None

    def save(self, trainer: L.Trainer, module: TrainingModule) -> None:
        """Save the state, in every process at once; no gradient may be pending."""
        temporary = self.resume_path.with_suffix(".tmp")
        trainer.save_checkpoint(temporary, weights_only=False)
        if trainer.is_global_zero:
            with open(temporary, "rb") as stream:  # a power cut must not leave the name without the content
                os.fsync(stream.fileno())
            os.replace(temporary, self.resume_path)
            # Only now is an earlier one of no use: the state on disk knows of the later one.
            kept = self.kept_path(module.history, module.settings) if module.history else None
            for path in self.folder.glob("kept-*.ckpt"):
                if path != kept:
                    path.unlink()

    def keep(self, module: TrainingModule) -> None:
        """Write the classifier of the epoch just done when it is the one to be kept so far."""
        kept = kept_epoch(module.history, module.settings)
        if kept == len(module.history) - 1:
            module.scored.facts["kept"] = module.history[kept]
            save_classifier(self.kept_path(module.history, module.settings), module.scored)

    def clear(self) -> None:
        """Forget the state of a run that is complete, so that the next run of the same recipe trains anew."""
        shutil.rmtree(self.folder, ignore_errors=True)


class SaveState(Checkpoint):
    """Saves between two batches, when no gradient is pending: at the start of each epoch, and every minute.

    Since all randomness is a function of the position, resuming from any of these ends the same.
    """

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.saved = time.monotonic()

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Save when it is time."""
        module: TrainingModule = pl_module
        if not module.at_optimizer_step:
            return
        if module.batch == 0 or in_any_process(trainer, time.monotonic() - self.saved > SAVE_SECONDS):
            self.state.save(trainer, module)
            self.saved = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Keep the classifier when it is the one to be kept so far."""
        if trainer.is_global_zero:
            self.state.keep(pl_module)


def in_any_process(trainer: L.Trainer, decision: bool) -> bool:
    """Whether any process decided so; all must save, or leave, together."""
    return decision if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(decision, all=False)
