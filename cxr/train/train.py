"""Train a classifier on shards: everything between the settings and the checkpoint."""

import json
import logging
import os
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch

from cxr.core.code import git_revision
from cxr.core.errors import CxrError
from cxr.core.files import digest, write_bytes, write_json
from cxr.models.portable import why_not_portable
from cxr.runtime.compute import Compute
from cxr.train.config import TrainSection
from cxr.train.data import FilmData
from cxr.train.engine import make_trainer, pick_devices
from cxr.train.films import open_films
from cxr.train.loss import class_weights
from cxr.train.memory import keep_freed_memory
from cxr.train.module import TrainingModule
from cxr.train.progress import Progress, log_epoch
from cxr.train.provenance import run_facts, stable_facts
from cxr.train.recipe import kept_epoch
from cxr.train.resume import RunState
from cxr.train.sigterm import sigterm_exits
from cxr.train.start import start_classifier
from cxr.train.tracking import CurveFiles, MLflowRun
from cxr.train.turns import turn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunPaths:
    """Where a run reads and writes."""

    shards: Path  # folder of shards
    checkpoint: Path  # the classifier that is kept
    history: Path  # CSV, one row an epoch
    curves: Path | None  # folder of DVCLive curves
    runs: Path  # state of unfinished runs, by fingerprint: must outlive a killed machine


def scratch_root() -> Path:
    """`.cache/train` of the main checkout, also when DVC runs an experiment in a copy (it sets DVC_ROOT)."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve() / ".cache" / "train"


def train(settings: TrainSection, compute: Compute, paths: RunPaths) -> None:
    """Train until the recipe says so; the classifier of the best epoch and the history are written.

    An interrupted run resumes from its last state when settings, code, data, library versions and devices are the
    same. SIGTERM saves the state and ends the process with exit code 143.

    Raises:
        CxrError: data, settings or weights do not fit, the loss is no number, or the GPU is out of memory.
    """
    keep_freed_memory()
    with ExitStack() as held:
        _train(settings, compute, paths, held)


def _train(settings: TrainSection, compute: Compute, paths: RunPaths, held: ExitStack) -> None:
    started = time.time()
    with sigterm_exits():
        films = open_films(paths.shards)
        data = FilmData(films, settings)
        accelerator, devices = pick_devices(compute, data.batch)
        if settings.portable and accelerator == "cpu" and (why := why_not_portable(settings.compile)):
            log.warning("train.portable: the weights will be those of this machine: %s", why)
        facts = stable_facts(films.data_hash, accelerator)
        run = digest(
            json.dumps([settings.model_dump(), facts, devices * compute.nodes, _local_weights(settings)]).encode()
        )
        held.enter_context(turn(paths.runs / run))
        state, progress = RunState(paths.runs / run), Progress()
        trainer = make_trainer(settings, accelerator, devices, compute.nodes, state, progress)

        torch.manual_seed(settings.seed)
        classifier = start_classifier(settings, films, facts, state.folder)
        classifier = classifier.to(memory_format=torch.channels_last)  # half as fast again, on CPU as on GPU
        if settings.compile:
            classifier.compile()
        weights = class_weights(films.counts("train"), settings.balance)
        module = TrainingModule(classifier, settings, weights, data.steps, tuple(films.scored))

        if trainer.is_global_zero:
            curves = CurveFiles(paths.history, paths.curves)
            mlflow = MLflowRun(state.folder, _flat(settings), {"git_rev": git_revision(), "data": films.data_hash})
            progress.listeners += [log_epoch, curves.log, mlflow.log]
        position = state.position(settings)
        if position:
            log.info("resuming run %s from epoch %d, batch %d", run, *position)
        try:
            trainer.fit(module, datamodule=data, ckpt_path=state.resume_path if position else None, weights_only=True)
        except torch.cuda.OutOfMemoryError as error:
            raise CxrError(
                f"train: the GPU is out of memory at epoch {module.epoch}, batch {module.batch}; lower train.batch "
                f"(now {data.batch}) and raise train.accumulate by the same factor"
            ) from error
        except Exception:
            _end_other_processes(trainer)
            raise
    if trainer.is_global_zero:
        write_bytes(paths.checkpoint, state.kept_path(module.history, settings).read_bytes())
        curves.close()
        mlflow.close([paths.checkpoint, paths.history])
        kept = module.history[kept_epoch(module.history, settings)]
        write_json(paths.runs / f"{run}.json", {**facts, **run_facts(started), "kept": kept})
        state.clear()


def _end_other_processes(trainer: L.Trainer) -> None:
    """The processes of the other devices would wait for this one."""
    kill = getattr(trainer.strategy.launcher, "kill", None)
    if kill is not None:
        kill(signal.SIGKILL)


def _local_weights(settings: TrainSection) -> str:
    """Content hash of a local weights file, so that another file under the same name is another run."""
    path = Path(settings.weights)
    return digest(path.read_bytes()) if path.is_file() else ""


def _flat(settings: TrainSection) -> dict[str, Any]:
    values = settings.model_dump()
    augmentation = values.pop("augment")
    return {**values, **{f"augment.{name}": value for name, value in augmentation.items()}}
