"""The devices of a training: choice, precision, processes, and performance settings."""

import ctypes
import logging
import os
import warnings
from collections.abc import Callable
from typing import Any, Literal

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins import MixedPrecision, Precision
from torch import Tensor
from torch.overrides import TorchFunctionMode
from typing_extensions import override

from cxr.core.errors import CxrError
from cxr.runtime.compute import Compute
from cxr.train.config import TrainSection

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST_KEPT = 32 << 20  # bytes; the maximum of glibc
Mode = Literal["32-true", "bf16-mixed", "16-mixed"]


def pick_devices(compute: Compute, batch: int) -> tuple[str, int]:
    """Accelerator (cpu or gpu) and number of processes; raises CxrError when they are missing or do not fit."""
    present = torch.cuda.device_count()
    accelerator = compute.accelerator
    if accelerator == "auto":
        accelerator = "gpu" if present else "cpu"
    if accelerator == "gpu" and not present:
        raise CxrError("compute.yaml: accelerator: gpu: no CUDA device is visible; set auto or cpu")
    most = present if accelerator == "gpu" else 1
    devices = most if compute.devices == "auto" else compute.devices
    if devices < 1 or (accelerator == "gpu" and devices > present):
        raise CxrError(f"compute.yaml: devices: {devices}; set at most {most}, or auto")
    everywhere = devices * compute.nodes
    if batch % everywhere:
        raise CxrError(f"train.batch: {batch} films cannot be divided over {everywhere} devices; set a multiple of it")
    return accelerator, devices


def precision(amp: str, accelerator: str, portable: bool) -> Mode:
    """Lightning's name for an AMP mode; `auto` is bf16 with hardware support, else fp16 on a GPU and fp32 on a CPU.

    In portable mode a CPU computes in fp32.
    """
    if amp == "bf16" and accelerator == "cpu" and portable:
        raise CxrError("train.amp: bf16 on a CPU is not portable; set train.portable: false, or amp: auto")
    if amp == "fp16" and accelerator == "cpu":
        raise CxrError("train.amp: fp16 needs a GPU; use bf16, off or auto")
    if amp == "auto":
        amp = _cpu_mode(portable) if accelerator == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    modes: dict[str, Mode] = {"off": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
    return modes[amp]


def _cpu_mode(portable: bool) -> str:
    """bf16 if the processor has instructions for it (emulation is slow) and portable mode is off."""
    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if fast and not portable else "off"


def make_fabric(settings: TrainSection, accelerator: str, devices: int, nodes: int) -> Fabric:
    """Lightning Fabric for these devices; sets torch's global flags for deterministic kernels and for cuDNN."""
    logging.getLogger("lightning.fabric").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # `lightning.fabric` loads all of Lightning
    warnings.filterwarnings("ignore", module="lightning.*")
    torch.use_deterministic_algorithms(settings.deterministic)
    torch.backends.cudnn.benchmark = accelerator == "gpu" and not settings.deterministic  # every batch has one shape
    if settings.deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    mode = precision(settings.amp, accelerator, settings.portable)
    return Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if devices * nodes > 1 else "auto",
        plugins=[Precision() if mode == "32-true" else Fp32Input(mode, "cuda" if accelerator == "gpu" else "cpu")],
    )


def mean_over_processes(fabric: Fabric, value: Tensor) -> Tensor:
    """Mean of a value over the processes; `all_reduce` itself changes its argument."""
    mean = fabric.all_reduce(value.clone(), reduce_op="mean")
    assert isinstance(mean, Tensor)
    return mean


def agree(fabric: Fabric, *decisions: bool) -> list[bool]:
    """For each decision, whether any process made it; all processes must save, or leave, together."""
    if fabric.world_size == 1:
        return list(decisions)
    votes = fabric.all_reduce(torch.tensor(decisions, dtype=torch.int32, device=fabric.device), reduce_op="sum")
    assert isinstance(votes, Tensor)
    return [bool(vote) for vote in votes.tolist()]


def leave_together(fabric: Fabric, code: int) -> None:
    """End all processes. Only the first of a machine exits with `code`: Fabric would kill it if another one failed."""
    fabric.barrier()
    raise SystemExit(code if fabric.local_rank == 0 else 0)


def end_other_processes(fabric: Fabric) -> None:
    """Kill the processes of the other devices: after an error in this process they would wait for it forever."""
    for process in getattr(fabric.strategy.launcher, "procs", ()):
        process.kill()


class Fp32Input(MixedPrecision):
    """Autocast with fp32 input: bf16 would round grey levels above 128 to integers."""

    @override
    def convert_input(self, data: Any) -> Any:
        return data


class Fp32Depthwise(TorchFunctionMode):
    """Context in which depthwise convolutions are computed in fp32 and return bf16.

    For bf16 training on a CPU: oneDNN is slow at the gradients of depthwise convolutions in bf16.
    """

    @override
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is not torch.conv2d or not _depthwise(*args[:2]):
            return func(*args, **kwargs)
        film, *others = args
        with torch.autocast("cpu", enabled=False):
            return func(film.float(), *others, **kwargs).bfloat16()


def _depthwise(film: Tensor, weight: Tensor) -> bool:
    """Whether each filter has one of several channels as input."""
    return film.shape[1] > weight.shape[1] == 1


def keep_freed_memory() -> None:
    """Keep freed memory in this process (glibc only); no result depends on it.

    Every batch allocates the same sizes. By default glibc returns large blocks to the kernel, which clears each page
    again: a quarter of the processor time of augmentation.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
