"""Training films per second with films from the loader, over the same with one batch held on the device (the limit).

First it counts, without a clock and on any device, what one step asks of the device: operators that compute (each at
least one kernel launch on a GPU), those of augmentation among them, and operators whose result the CPU waits for.

Both run the training loop's own step: augmentation, forward, loss, backward, clipping, AdamW. What differs is where a
batch comes from, so the ratio shows how much of the device the loader leaves idle. Rounds of the two alternate, so that
other work on the machine affects both; the median ratio is printed, for each backbone in each precision.

    python -m benchmarks.train_step --backbones tf_efficientnet_lite0 --steps 4
    python -m benchmarks.train_step --px 144 --amp off bf16    # what bf16 gains on this CPU
    python -m benchmarks.train_step --backbones tf_efficientnet_lite0 --px 144 --rounds 0    # counts only
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from torch.utils._python_dispatch import TorchDispatchMode

from cxr.core.config import load_section
from cxr.models.classifier import new_classifier
from cxr.train.augment import augment
from cxr.train.config import TrainSection
from cxr.train.data import Batch, FilmData, Films, FilmSet
from cxr.train.device import make_fabric
from cxr.train.loop import set_up, step_optimizer, train_step

CLASSES = ("normal", "pneumonia")
SIDE = 224
# Their result, or its size, is read on the CPU, which on a GPU means waiting for all kernels launched before.
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "_unique2", "unique_dim"}
NO_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "_unsafe_view"}


def main() -> None:
    """Print one line per backbone and precision."""
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["efficientnet_b0", "resnet34", "resnet50"])
    parser.add_argument("--amp", nargs="+", default=["auto"], choices=["auto", "bf16", "fp16", "off"])
    parser.add_argument("--batch", type=int, default=256 if gpu else 32)
    parser.add_argument("--steps", type=int, default=20 if gpu else 4, help="per round")
    parser.add_argument("--px", type=int, default=SIDE)
    parser.add_argument("--rounds", type=int, default=5, help="of timing; 0 = counts only")
    options = parser.parse_args()
    name = torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}: batch {options.batch}, {options.px} px, training films per second")
    counted = f"{'operators':>11}{'augmentation':>14}{'waits':>7}"
    print(f"{'backbone':<24}{'precision':<12}{counted}{'from the loader':>17}{'batch held':>13}{'ratio':>8}")
    changes = {"batch": options.batch, "min_steps": 0, "balance": "none", "portable": False}
    settings = load_section("train", TrainSection).model_copy(update=changes)
    with tempfile.TemporaryDirectory(prefix="train-step-") as folder:
        films = random_films(Path(folder), 4 * options.batch, options.px)
        data = FilmData(FilmSet(films, [], films, {}, CLASSES, options.px, "", ""), settings)
        for backbone in options.backbones:
            for amp in options.amp:
                fabric = make_fabric(settings.model_copy(update={"amp": amp}), "gpu" if gpu else "cpu", 1, 1)
                step = make_step(fabric, settings, backbone, options.px)
                loaded = endless(data, fabric.device)
                held = repeated(next(loaded))
                batch = next(held)
                step(batch)
                with Operators() as whole:
                    step(batch)
                with Operators() as part, torch.no_grad():
                    augment(batch["image"], batch["plan"], settings.augment)
                waits = sum(count for name, count in whole.counts.items() if name in WAITS)
                counts = f"{whole.counts.total():>11}{part.counts.total():>14}{waits:>7}"
                print(f"{backbone:<24}{amp:<12}{counts}", end="" if options.rounds else "\n", flush=True)
                if not options.rounds:
                    continue
                seconds(step, loaded, 2, fabric.device)  # warm-up, cuDNN's choice of kernels included
                rates = [
                    [
                        options.batch * options.steps / seconds(step, source, options.steps, fabric.device)
                        for source in (loaded, held)
                    ]
                    for _ in range(options.rounds)
                ]
                ratio = float(np.median([one / other for one, other in rates]))
                fast = np.median(rates, axis=0)
                print(f"{fast[0]:>17.1f}{fast[1]:>13.1f}{ratio:>8.3f}", flush=True)


class Operators(TorchDispatchMode):
    """Context that counts ATen operators by name, without views and allocations."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count the operator and run it."""
        name = func.overloadpacket.__name__
        if not func.is_view and name not in NO_KERNEL and not name.startswith("_record_function"):
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def make_step(fabric: Fabric, settings: TrainSection, backbone: str, px: int) -> Callable[[Batch], None]:
    """The training loop's step with a new classifier."""
    model, optimizer = set_up(fabric, new_classifier(backbone, CLASSES, px).train(), settings)
    weights = torch.ones(len(CLASSES), device=fabric.device)

    def step(batch: Batch) -> None:
        train_step(fabric, model, batch, settings, weights, group=1)
        step_optimizer(fabric, model, optimizer, settings.clip)

    return step


def seconds(step: Callable[[Batch], None], batches: Iterator[Batch], steps: int, device: torch.device) -> float:
    """Seconds of some steps."""
    start = time.perf_counter()
    for _ in range(steps):
        step(next(batches))
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def endless(data: FilmData, device: torch.device) -> Iterator[Batch]:
    """Batches of the loader on the device, epoch after epoch."""
    epoch = 0
    while True:
        yield from data.train_batches(epoch, 0, device)
        epoch += 1


def repeated(batch: Batch) -> Iterator[Batch]:
    """The same batch for ever."""
    while True:
        yield batch


def random_films(folder: Path, films: int, px: int) -> Films:
    """Noise in a memory-mapped file."""
    random = np.random.default_rng(0)
    images = np.lib.format.open_memmap(folder / "films.npy", mode="w+", dtype=np.uint8, shape=(films, 2, px, px))
    for place in range(films):
        images[place] = random.integers(0, 256, (2, px, px), dtype=np.uint8)
    images.flush()
    return Films(np.load(folder / "films.npy", mmap_mode="r"), np.arange(films) % 2)


if __name__ == "__main__":
    main()
