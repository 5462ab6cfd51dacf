"""Training films per second with films from the loader, over the same with one batch held on the device (the limit).

Both run the same step: augmentation, forward, loss, backward, clipping, AdamW. What differs is where a batch comes
from, so the ratio says how much of the device the loader leaves idle. Turns of the two alternate, so that other work on
the machine hits both; the median ratio is printed. With a GPU: AMP, as the train stage runs there.

    python -m benchmarks.train_step --backbones tf_efficientnet_lite0 --steps 4
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from cxr.core.config import load_section
from cxr.models.classifier import new_classifier
from cxr.train.augment import augment
from cxr.train.batches import Batch, TrainBatches, epoch_order
from cxr.train.config import TrainSection
from cxr.train.films import Films
from cxr.train.loss import film_losses

SIDE = 224
ROUNDS = 5


def main() -> None:
    """Print one line a backbone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=["efficientnet_b0", "resnet34", "resnet50"])
    parser.add_argument("--batch", type=int, default=256 if torch.cuda.is_available() else 32)
    parser.add_argument("--steps", type=int, default=20 if torch.cuda.is_available() else 4, help="a turn")
    parser.add_argument("--px", type=int, default=SIDE)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}: batch {options.batch}, {options.px} px, training films per second")
    print(f"{'backbone':<24}{'from the loader':>17}{'batch held':>13}{'ratio':>8}")
    with tempfile.TemporaryDirectory(prefix="train-step-") as folder:
        films = random_films(Path(folder), 4 * options.batch, options.px)
        for backbone in options.backbones:
            step = make_step(backbone, options.px, device)
            loaded, held = endless(films, options.batch, device), endless_one(films, options.batch, device)
            turn(step, loaded, 2, device)  # warm-up, cuDNN's choice of kernels included
            rates = [
                [options.batch * options.steps / turn(step, source, options.steps, device) for source in (loaded, held)]
                for _ in range(ROUNDS)
            ]
            ratio = float(np.median([one / other for one, other in rates]))
            fast = np.median(rates, axis=0)
            print(f"{backbone:<24}{fast[0]:>17.1f}{fast[1]:>13.1f}{ratio:>8.3f}", flush=True)


def make_step(backbone: str, px: int, device: torch.device) -> Callable[[Batch], None]:
    """One training step as the train stage makes it."""
    classifier = new_classifier(backbone, ("normal", "pneumonia"), px).to(device).train()
    gpu = device.type == "cuda"
    classifier = classifier.to(memory_format=torch.channels_last)
    torch.backends.cudnn.benchmark = gpu
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=1e-4)
    settings, weights = load_section("train", TrainSection).augment, torch.ones(2, device=device)

    def step(batch: Batch) -> None:
        with torch.no_grad():
            image = augment(batch["image"], batch["draws"], settings)[:, [0, 0, 0, 1]]
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=gpu):
            logits = classifier(image)
        film_losses(logits, batch["label"], "bce", 0.05, weights).mean().backward()
        torch.nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
        optimizer.step()

    return step


def turn(step: Callable[[Batch], None], batches: Iterator[Batch], steps: int, device: torch.device) -> float:
    """Seconds of some steps."""
    start = time.perf_counter()
    for _ in range(steps):
        step(next(batches))
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def endless(films: Films, batch: int, device: torch.device) -> Iterator[Batch]:
    """Batches of the loader, epoch after epoch, moved to the device."""
    epoch = 0
    while True:
        loader = TrainBatches(
            films, epoch_order(films.labels, 0, epoch, balanced=False, films=len(films.labels)), batch, (0, epoch)
        )
        loader.pin = device.type == "cuda"
        for one in loader:
            yield on_device(one, device)
        epoch += 1


def endless_one(films: Films, batch: int, device: torch.device) -> Iterator[Batch]:
    """The same batch on the device, for ever."""
    held = next(endless(films, batch, device))
    while True:
        yield held


def on_device(batch: Batch, device: torch.device) -> Batch:
    """Tensors moved without waiting; the table of draws stays where it was made, as in training."""
    return {
        **batch,
        "image": batch["image"].to(device, non_blocking=True),
        "label": batch["label"].to(device, non_blocking=True),
    }


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
