"""The Lightning Trainer for this machine, and the order in which it calls our code.

    for each epoch (`TrainingModule.epoch`; a resumed run begins in the middle of one)
        FilmData.train_dataloader                     the batches that are still to do
        FilmData.val_dataloader                       validation films and their copies (later epochs: at validation)
        for each batch
            TrainingModule.on_after_batch_transfer    augment, on the device
            LeaveOnSigterm.on_train_batch_start       save and leave where SIGTERM came
            SaveState.on_train_batch_start            save where it is time
            Progress.on_train_batch_start             log the position where it is time
            TrainingModule.on_train_batch_start       learning rate of this moment
            TrainingModule.training_step              loss; then backward, clipping and AdamW are Lightning's
            TrainingModule.on_train_batch_end         count the batch, average the weights
        for each batch of validation
            LeaveOnSigterm.on_validation_batch_start  leave where SIGTERM came
            TrainingModule.validation_step            loss, AUROC, accuracy
        TrainingModule.on_train_epoch_end             one row of history; stop when the recipe says so
        SaveState.on_train_epoch_end                  keep the classifier if it is the one to be kept so far
        Progress.on_train_epoch_end                   log the epoch, draw its curves

What Lightning would do and we do ourselves, so that a run can resume in the middle of an epoch with the same bytes: the
module counts epochs and batches (`max_epochs=-1`; `loops` is dropped from the saved state), our loaders share out the
films (`use_distributed_sampler=False`, reloaded each epoch), we save (`cxr/train/resume.py`), and SIGTERM saves before
it ends the process (`cxr/train/sigterm.py`). Devices, DDP, mixed precision, accumulation and clipping are Lightning's.
"""

import logging
import sys
import warnings
from typing import Any

import lightning as L
import torch

from cxr.core.errors import CxrError
from cxr.runtime.compute import Compute
from cxr.train.config import TrainSection
from cxr.train.progress import Progress
from cxr.train.resume import RunState, SaveState
from cxr.train.sigterm import LeaveOnSigterm


def pick_devices(compute: Compute, batch: int) -> tuple[str, int]:
    """Accelerator (cpu or gpu) and number of processes; raises CxrError when they are not there or do not fit."""
    present = torch.cuda.device_count()
    accelerator = compute.accelerator
    if accelerator == "auto":
        accelerator = "gpu" if present else "cpu"
    if accelerator == "gpu" and not present:
        raise CxrError("compute.yaml: accelerator: gpu, but no CUDA device is visible; use auto or cpu")
    most = present if accelerator == "gpu" else 1
    devices = most if compute.devices == "auto" else compute.devices
    if devices < 1 or (accelerator == "gpu" and devices > present):
        raise CxrError(f"compute.yaml: devices: {devices}; there are {most}")
    everywhere = devices * compute.nodes
    if batch % everywhere:
        raise CxrError(f"train.batch: {batch} films cannot be shared by {everywhere} devices; take a multiple of them")
    return accelerator, devices


def precision(amp: str, accelerator: str, portable: bool) -> Any:
    """Lightning's name for an AMP mode; `auto` is bf16 where the processor multiplies in it, else fp16 on a GPU
    and fp32 on a CPU, as in portable mode."""
    if amp == "bf16" and accelerator == "cpu" and portable:
        raise CxrError("train.amp: bf16 on a CPU is not portable; set train.portable: false, or amp: auto")
    if amp == "fp16" and accelerator == "cpu":
        raise CxrError("train.amp: fp16 needs a GPU; use bf16, off or auto")
    if amp == "auto":
        amp = _cpu_mode(portable) if accelerator == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return {"off": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[amp]


def _cpu_mode(portable: bool) -> str:
    """bf16 pays where a processor has instructions for it; without them it is emulated, and slow."""
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast and not portable else "off"


def make_trainer(
    settings: TrainSection, accelerator: str, devices: int, nodes: int, state: RunState, progress: Progress
) -> L.Trainer:
    """A Trainer that runs until the module says stop and writes nothing but `state`."""
    _quiet()
    return L.Trainer(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        precision=precision(settings.amp, accelerator, settings.portable),
        max_epochs=-1,
        accumulate_grad_batches=settings.accumulate,
        gradient_clip_val=settings.clip or None,
        deterministic=settings.deterministic,
        benchmark=accelerator == "gpu" and not settings.deterministic,  # every batch has one shape
        callbacks=[LeaveOnSigterm(state), SaveState(state), progress],
        logger=False,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        default_root_dir=state.folder,
    )


def _quiet() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning.*")
