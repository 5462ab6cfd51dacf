"""Interruption: the saved state of a run, the run lock, SIGTERM."""

import json
import logging
import os
import pickle
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from cxr.models.classifier import Classifier, save_classifier
from cxr.train.config import TrainSection
from cxr.train.recipe import Row, selected_epoch

log = logging.getLogger(__name__)
SAVE_SECONDS = 60.0
SIGTERM_EXIT = 128 + signal.SIGTERM


@dataclass
class Position:
    """A position in training."""

    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros((), dtype=torch.float64))  # over these batches
    history: list[Row] = field(default_factory=list)


class RunState:
    """The files of an unfinished run: `resume.ckpt`, and `kept-<epoch>.ckpt`, the classifier selected so far."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.saved = time.monotonic()

    @property
    def resume_path(self) -> Path:
        """The state from which a run resumes."""
        return self.folder / "resume.ckpt"

    def kept_path(self, history: list[Row], settings: TrainSection) -> Path:
        """The classifier of the selected epoch of a history."""
        return self.folder / f"kept-{selected_epoch(history, settings)}.ckpt"

    def is_due(self) -> bool:
        """Whether a minute has passed since the last save."""
        return time.monotonic() - self.saved > SAVE_SECONDS

    def load(self, settings: TrainSection) -> tuple[Position, dict[str, Any]]:
        """The saved position and its tensors, on the CPU; the start, without tensors, when the state is incomplete."""
        if not self.resume_path.is_file():
            return Position(), {}
        try:
            content = torch.load(self.resume_path, map_location="cpu", weights_only=True)
            at = Position(**content["position"] | {"history": json.loads(content["position"]["history"])})
            # SageMaker copies the state file by file, so a copy may lack the classifier.
            if at.history and not self.kept_path(at.history, settings).is_file():
                log.warning("%s: the kept classifier is missing; training starts over", self.folder)
                return Position(), {}
            return at, content["tensors"]
        except (OSError, RuntimeError, LookupError, EOFError, TypeError, ValueError, pickle.UnpicklingError):
            log.warning("%s: cannot be read; training starts over", self.resume_path)
            return Position(), {}

    def save(self, at: Position, tensors: dict[str, Any], settings: TrainSection) -> None:
        """Replace the saved state; no gradient may be pending."""
        temporary = self.resume_path.with_suffix(".tmp")
        torch.save({"position": vars(at) | {"history": json.dumps(at.history)}, "tensors": tensors}, temporary)
        with open(temporary, "rb") as stream:  # after a power failure, the file must not be empty
            os.fsync(stream.fileno())
        os.replace(temporary, self.resume_path)
        self.saved = time.monotonic()
        # Only now: the previous state on disk needed the earlier classifier.
        kept = self.kept_path(at.history, settings) if at.history else None
        for path in self.folder.glob("kept-*.ckpt"):
            if path != kept:
                path.unlink()

    def keep(self, classifier: Classifier, history: list[Row], settings: TrainSection) -> None:
        """Write the classifier of the epoch just done when it is the selected one so far."""
        if selected_epoch(history, settings) == len(history) - 1:
            classifier.facts["kept"] = history[-1]
            save_classifier(self.kept_path(history, settings), classifier)

    def clear(self) -> None:
        """Delete the state of a complete run, so that the next run of the same recipe starts over."""
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Lock the folder of a run's state; another process that trains the same run waits.

    Two queued experiments that differ only after training are the same run, and would overwrite each other's state. If
    the holder of the lock dies, the next process resumes from its state. In a training on several devices, the first
    process holds the lock for all.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        yield
        return
    lock = FileLock(folder.with_suffix(".lock"), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("run %s is being trained by another process; waiting for it", folder.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class Sigterm:
    """Context in which SIGTERM ends the process with exit code 143: at once, or with `waits` when the loop can save."""

    def __init__(self) -> None:
        self.received = self.waits = False

    def __enter__(self) -> "Sigterm":
        self.in_main_thread = threading.current_thread() is threading.main_thread()
        if self.in_main_thread:
            self.before = signal.signal(signal.SIGTERM, self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        if self.in_main_thread:
            signal.signal(signal.SIGTERM, self.before)

    def _receive(self, *_: object) -> None:
        self.received = True
        if not self.waits:
            sys.exit(SIGTERM_EXIT)
