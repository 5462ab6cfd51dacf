"""SIGTERM saves the state of a run and ends it with exit code 143."""

import logging
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L

from cxr.train.module import TrainingModule
from cxr.train.resume import RunState, in_any_process

log = logging.getLogger(__name__)
SIGTERM_EXIT = 128 + signal.SIGTERM


class LeaveOnSigterm(L.Callback):
    """Once SIGTERM has come, saves between two batches and ends the process."""

    def __init__(self, state: RunState) -> None:
        self.state = state
        self.terminated = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Replace Lightning's SIGTERM handler, which stops without saving."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._terminate)

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Save and leave when no gradient is pending."""
        module: TrainingModule = pl_module
        if module.at_optimizer_step and in_any_process(trainer, self.terminated):
            self.state.save(trainer, module)
            log.warning("SIGTERM: saved at epoch %d, batch %d; run again to resume", module.epoch, module.batch)
            sys.exit(SIGTERM_EXIT)

    def on_validation_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        """Leave at once: the state of the last minute is on disk."""
        if in_any_process(trainer, self.terminated):
            log.warning("SIGTERM during validation; run again to resume from the last saved state")
            sys.exit(SIGTERM_EXIT)

    def _terminate(self, *_: Any) -> None:
        self.terminated = True


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
