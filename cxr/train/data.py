"""The films of a run and their batches: order, random numbers, prefetch.

The order of an epoch and all randomness of a batch are functions of (seed, epoch, batch). A run can therefore resume
from any batch, and the draws do not depend on threads or the number of processes.
"""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import torch
from torch import Tensor

from cxr.core.errors import CxrError
from cxr.npz.shards import ShardedArray, ShardSet, open_shards
from cxr.train.augment import DRAWS, Plan, plan
from cxr.train.config import TrainSection
from cxr.train.recipe import batch_size, steps_per_epoch

Array = np.ndarray[Any, Any]

PREFETCH = 2  # batches made ahead of their use
COPIES = ("corrupted", "swapped")  # kinds of perturbed copies of the validation films, if the set has them


@dataclass(frozen=True)
class Films:
    """The films of one split."""

    images: Array | ShardedArray  # uint8 (films, 2 or 4, height, width), memory-mapped
    labels: Array  # int64 (films,)


@dataclass(frozen=True)
class FilmSet:
    """The training and validation films of a run."""

    train: Films
    patients: list[str]  # of the training films
    val: Films
    copies: dict[str, Films]  # of the validation films, by kind
    classes: tuple[str, ...]
    image_px: int
    spec: str  # of the preparation
    data_hash: str

    @property
    def scored(self) -> dict[str, Films]:
        """The films that each epoch is scored on, by the prefix of their metrics in the history."""
        return {"val": self.val, **self.copies}

    def counts(self, split: str) -> list[int]:
        """Films of each class."""
        films: Films = getattr(self, split)
        return [int(count) for count in np.bincount(films.labels, minlength=len(self.classes))]


def open_films(folder: Path) -> FilmSet:
    """Open the shards in `folder`; raises CxrError when train or validation lacks a class."""
    shards = open_shards(folder)
    train, val = (_split(shards, name) for name in ("train", "val"))
    there = set(shards.table["split"])
    copies = {kind: Films(shards.films(kind), shards.labels(kind)) for kind in COPIES if kind in there}
    patients = shards.table.loc[shards.table["split"] == "train", "patient_id"].tolist()
    return FilmSet(train, patients, val, copies, shards.classes, shards.image_px, shards.spec, shards.content_hash)


def _split(shards: ShardSet, name: str) -> Films:
    labels = shards.labels(name)
    missing = [each for place, each in enumerate(shards.classes) if not (labels == place).any()]
    if missing:
        raise CxrError(
            f"{shards.folder}: split {name!r} has no film of class {missing[0]!r}; "
            "correct data.classes or data.val_fraction"
        )
    return Films(shards.films(name), labels)


class Batch(TypedDict, total=False):
    """A batch of films for the model."""

    image: Tensor  # uint8 (n, 2 or 4, height, width)
    label: Tensor  # int64 (n,)
    plan: Plan  # of the augmentation; training only
    seed: int  # of all other randomness of the step; training only


def epoch_order(
    labels: Array, seed: int, epoch: int, balanced: bool, films: int, weights: Array | None = None
) -> Array:
    """Indices of `films` films in the order of an epoch: every film once per round, or with `balanced` classes equally.

    With `weights` (films,) the films of a class are drawn by weight, with replacement.
    """
    random = np.random.default_rng([seed, epoch])
    if not balanced:
        return _in_turn(random, np.arange(len(labels)), films)
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    count = films // len(classes) + 1
    if weights is None:
        parts = [_in_turn(random, members, count) for members in classes]
    else:
        parts = [random.choice(members, count, p=weights[members] / weights[members].sum()) for members in classes]
    return random.permutation(np.concatenate(parts))[:films]


def _in_turn(random: np.random.Generator, members: Array, count: int) -> Array:
    """Members in random order, repeated in rounds of all members."""
    rounds = [random.permutation(members) for _ in range(math.ceil(count / len(members)))]
    return np.concatenate(rounds)[:count]


class FilmData:
    """Training and validation batches for one of `world` processes."""

    def __init__(self, films: FilmSet, settings: TrainSection, rank: int = 0, world: int = 1) -> None:
        self.films, self.settings, self.rank, self.world = films, settings, rank, world
        self.batch = batch_size(len(films.train.labels), settings)  # films per step, over all processes
        self.steps = steps_per_epoch(len(films.train.labels), settings)

    @cached_property
    def weights(self) -> Array | None:
        """Sampling weight of each training film, or None for equal weights."""
        if self.settings.balance != "acquisition":
            return None
        from cxr.train.sampling import sampling_weights  # imports scikit-learn

        return sampling_weights(self.films)

    def train_batches(self, epoch: int, start: int, device: torch.device) -> Iterator[Batch]:
        """The batches of an epoch from number `start` on; an incomplete last one is dropped."""
        balanced, count = self.settings.balance in ("sampler", "acquisition"), self.steps * self.batch
        labels, seed = self.films.train.labels, self.settings.seed
        order = epoch_order(labels, seed, epoch, balanced, count, self.weights)

        def make(number: int) -> Batch:
            index = order[number * self.batch : (number + 1) * self.batch]
            random = np.random.default_rng([seed, epoch, number])
            draws = random.random((len(index), DRAWS), dtype=np.float32)
            step = int(random.integers(2**62)) + self.rank
            mine = slice(self.rank, None, self.world)
            planned = plan(torch.from_numpy(draws[mine].copy()), self.settings.augment)
            return {**collate(self.films.train, index[mine]), "plan": planned, "seed": step}

        return prefetch(make, range(start, self.steps), device)

    def scored_batches(self, films: Films, device: torch.device) -> Iterator[Batch]:
        """Every film once, in order, divided over the processes without repetition.

        All processes make the same number of batches, so the last one of a process may be empty.
        """
        size = max(1, 2 * self.batch // self.world)
        mine = np.arange(self.rank, len(films.labels), self.world)
        count = math.ceil(math.ceil(len(films.labels) / self.world) / size)
        return prefetch(lambda number: collate(films, mine[number * size : (number + 1) * size]), range(count), device)


def collate(films: Films, index: Array) -> Batch:
    """Copy films from the memory map into a batch."""
    return {"image": torch.from_numpy(films.images[index]), "label": torch.from_numpy(films.labels[index])}


def prefetch(make: Callable[[int], Batch], numbers: range, device: torch.device) -> Iterator[Batch]:
    """Batches on a device, made PREFETCH steps ahead of their use; copied to a GPU while it computes earlier steps."""
    copies = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def ready(number: int) -> Batch:
        batch = make(number)
        if copies is None:
            return batch
        with torch.cuda.stream(copies):  # of this thread only
            return _each_tensor(batch, lambda tensor: tensor.pin_memory().to(device, non_blocking=True))

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(ready, number) for number in numbers[:PREFETCH]]
        for number in numbers:
            batch = waiting.pop(0).result()
            if number + PREFETCH in numbers:
                waiting.append(pool.submit(ready, number + PREFETCH))
            yield batch if copies is None else _received(batch, copies)


def _received(batch: Batch, copies: torch.cuda.Stream) -> Batch:
    """The batch for use after its copy, which the GPU waits for and the CPU does not."""
    current = torch.cuda.current_stream(copies.device)
    current.wait_stream(copies)

    def keep(tensor: Tensor) -> Tensor:
        tensor.record_stream(current)  # its memory belongs to the copying stream, which may reuse it
        return tensor

    return _each_tensor(batch, keep)


def _each_tensor(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    changed: dict[str, Any] = {name: change(value) for name, value in batch.items() if isinstance(value, Tensor)}
    if "plan" in batch:
        changed["plan"] = batch["plan"].each_tensor(change)
    return cast(Batch, {**batch, **changed})
