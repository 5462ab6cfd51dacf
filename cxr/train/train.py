"""A training run: from settings and shards to checkpoint, history and provenance."""

import json
import logging
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import timm
import torch
from lightning.fabric import Fabric

from cxr.core.code import code_version, git_revision
from cxr.core.errors import CxrError
from cxr.core.files import digest, write_bytes, write_json
from cxr.models.classifier import Classifier, new_classifier
from cxr.models.portable import portability_problem
from cxr.models.weights import load_weights
from cxr.runtime.compute import Compute
from cxr.train.config import TrainSection
from cxr.train.data import FilmData, FilmSet, open_films
from cxr.train.device import end_other_processes, keep_freed_memory, make_fabric, pick_devices
from cxr.train.loop import fit
from cxr.train.recipe import Row, batch_size, selected_epoch
from cxr.train.state import RunState, Sigterm, run_lock
from cxr.train.tracking import CurveFiles, MLflowRun, log_epoch

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunPaths:
    """Inputs and outputs of a run."""

    shards: Path  # folder of shards
    checkpoint: Path  # the selected classifier
    history: Path  # CSV, one row per epoch
    curves: Path | None  # folder of DVCLive curves
    runs: Path  # state of unfinished runs, by fingerprint; on storage that outlives the machine


def scratch_root() -> Path:
    """`.cache/train` of the main checkout, also when DVC runs an experiment in a copy (it sets DVC_ROOT)."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve() / ".cache" / "train"


def train(settings: TrainSection, compute: Compute, paths: RunPaths) -> None:
    """Train, and write the selected classifier and the history.

    An interrupted run resumes from its last state if settings, code, data, library versions and devices are unchanged.
    SIGTERM saves the state and ends the process with exit code 143.

    Raises:
        CxrError: data, settings or weights do not fit, the loss is not finite, or the GPU is out of memory.
    """
    started = time.time()
    keep_freed_memory()
    with Sigterm() as sigterm:
        films = open_films(paths.shards)
        accelerator, devices = pick_devices(compute, batch_size(len(films.train.labels), settings))
        if settings.portable and accelerator == "cpu" and (why := portability_problem(settings.compile)):
            log.warning("train.portable: the weights will depend on this machine: %s", why)
        facts = provenance(films.data_hash, accelerator)
        processes = devices * compute.nodes
        run = digest(json.dumps([settings.model_dump(), facts, processes, _local_weights(settings)]).encode())
        with run_lock(paths.runs / run):
            state = RunState(paths.runs / run)
            fabric = make_fabric(settings, accelerator, devices, compute.nodes)
            try:
                fabric.launch()
                history = _train(settings, films, facts, paths, state, fabric, sigterm)
            except Exception:
                end_other_processes(fabric)
                raise
            if fabric.is_global_zero:
                selected = history[selected_epoch(history, settings)]
                write_json(paths.runs / f"{run}.json", {**facts, **run_record(started), "kept": selected})
                state.clear()


def _train(
    settings: TrainSection,
    films: FilmSet,
    facts: dict[str, Any],
    paths: RunPaths,
    state: RunState,
    fabric: Fabric,
    sigterm: Sigterm,
) -> list[Row]:
    """Train, and write the outputs; returns the history."""
    torch.manual_seed(settings.seed)
    classifier = build_classifier(settings, films, facts, state.folder)
    data = FilmData(films, settings, fabric.global_rank, fabric.world_size)
    listeners: list[Callable[[list[Row]], None]] = []
    if fabric.is_global_zero:
        curves = CurveFiles(paths.history, paths.curves)
        mlflow = MLflowRun(state.folder, _flat(settings), {"git_rev": git_revision(), "data": films.data_hash})
        listeners += [log_epoch, curves.log, mlflow.log]
    at, tensors = state.load(settings)
    if tensors:
        log.info("resuming run %s from epoch %d, batch %d", state.folder.name, at.epoch, at.batch)
    try:
        fit(fabric, classifier, data, settings, state, at, tensors, sigterm, listeners)
    except torch.cuda.OutOfMemoryError as error:
        raise CxrError(
            f"train: the GPU is out of memory at epoch {at.epoch}, batch {at.batch}; lower train.batch "
            f"(now {data.batch}) and raise train.accumulate by the same factor"
        ) from error
    if fabric.is_global_zero:
        write_bytes(paths.checkpoint, state.kept_path(at.history, settings).read_bytes())
        curves.close()
        mlflow.close([paths.checkpoint, paths.history])
    return at.history


def build_classifier(settings: TrainSection, films: FilmSet, facts: dict[str, Any], folder: Path) -> Classifier:
    """A classifier with its pretrained weights and the metadata of its checkpoint."""
    classifier = new_classifier(
        settings.backbone, films.classes, films.image_px, settings.mask_channel, settings.dropout, settings.mirror
    )
    if settings.mean != "auto" and settings.std != "auto":
        classifier.normalise(settings.mean, settings.std)
    report = load_weights(classifier.backbone, settings.backbone, settings.weights, settings.min_loaded)
    _check_image_size(classifier, films.image_px)
    write_json(folder / "weights.json", asdict(report))
    classifier.facts |= {
        "npz_spec": films.spec,
        "films": {split: dict(zip(films.classes, films.counts(split), strict=True)) for split in ("train", "val")},
        "weights": {"source": report.source, "share": report.share},
        "train": settings.model_dump(),
        "provenance": facts,
    }
    return classifier


@torch.no_grad()
def _check_image_size(classifier: Classifier, px: int) -> None:
    """Raise CxrError for a backbone that accepts other image sizes only; such backbones raise on a forward pass."""
    name = classifier.facts["backbone"]
    try:
        classifier.eval()(torch.zeros(1, 4, px, px, dtype=torch.uint8))
    except (AssertionError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split())[:160]
        raise CxrError(
            f"train.backbone: {name!r} does not accept images of {px} pixels ({why}); change preprocess.image_px or "
            "train.backbone"
        ) from error
    classifier.train()


def provenance(data_hash: str, accelerator: str) -> dict[str, Any]:
    """The provenance of a checkpoint as a function of its inputs: data, code, versions and device.

    Commit and time are excluded: they differ between runs with equal weights, and would change the checkpoint's hash,
    and with it dvc.lock, for no reason.
    """
    device = torch.cuda.get_device_name() if accelerator == "gpu" else f"CPU {platform.machine()}"
    versions = {
        "torch": torch.__version__.split("+")[0],  # on a CPU, builds for CPU and for CUDA give the same weights
        "timm": timm.__version__,
        "lightning": lightning.__version__,
        "numpy": np.__version__,
    }
    return {"data": data_hash, "code": code_version("cxr.train.train"), "device": device, "versions": versions}


def run_record(started: float) -> dict[str, Any]:
    """What differs between identical runs: commit, Python, date and wall time in seconds since `started`."""
    return {
        "git_rev": git_revision(),
        "python": platform.python_version(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        "seconds": round(time.time() - started, 1),
    }


def _local_weights(settings: TrainSection) -> str:
    """Content hash of a local weights file, so that a changed file is another run."""
    path = Path(settings.weights)
    return digest(path.read_bytes()) if path.is_file() else ""


def _flat(settings: TrainSection) -> dict[str, Any]:
    values = settings.model_dump()
    augmentation = values.pop("augment")
    return {**values, **{f"augment.{name}": value for name, value in augmentation.items()}}
