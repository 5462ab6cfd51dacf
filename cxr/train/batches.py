"""Which film comes when, and batches of films.

The order of an epoch and all randomness of a batch are functions of (seed, epoch, batch), so a run can resume from any
batch, and neither worker threads nor the number of processes change what is drawn.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor

from cxr.train.augment import DRAWS
from cxr.train.films import Films

Array = np.ndarray[Any, Any]


class Batch(TypedDict, total=False):
    """Films on their way to the model."""

    image: Tensor  # uint8 (n, 2 or 4, height, width)
    label: Tensor  # int64 (n,)
    draws: Tensor  # training only: (n, DRAWS) uniform numbers for the augmentation
    seed: int  # training only: for all other randomness of the step


def epoch_order(
    labels: Array, seed: int, epoch: int, balanced: bool, films: int, weights: Array | None = None
) -> Array:
    """Indices of `films` films in the order of an epoch: each film in turn, or with `balanced` each class as often.

    With `weights` (films,) the films of a class are drawn by them, and the same film may come again before others came.
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
    """Members in random order, all of them before any of them comes again."""
    rounds = [random.permutation(members) for _ in range(math.ceil(count / len(members)))]
    return np.concatenate(rounds)[:count]


class TrainBatches:
    """The batches of one epoch from `start` on, as one of `world` processes sees them; an incomplete one is dropped."""

    def __init__(self, films: Films, order: Array, batch: int, seed: tuple[int, int], start: int = 0) -> None:
        self.films, self.order, self.batch, self.start = films, order, batch, start
        self.seed = seed  # (seed, epoch)
        self.rank, self.world, self.pin = 0, 1, False

    def __len__(self) -> int:
        return len(self.order) // self.batch - self.start

    def __iter__(self) -> Iterator[Batch]:
        return ahead(self._batch, range(self.start, self.start + len(self)), self.pin)

    def _batch(self, number: int) -> Batch:
        index = self.order[number * self.batch : (number + 1) * self.batch]
        random = np.random.default_rng([*self.seed, number])
        draws = random.random((len(index), DRAWS), dtype=np.float32)
        step = int(random.integers(2**62)) + self.rank
        mine = slice(self.rank, None, self.world)
        return {**gather(self.films, index[mine]), "draws": torch.from_numpy(draws[mine].copy()), "seed": step}


class ScoreBatches:
    """Every film once, in order; processes share them out without repeating any."""

    def __init__(self, films: Films, batch: int) -> None:
        self.films, self.batch = films, batch
        self.rank, self.world, self.pin = 0, 1, False

    def __len__(self) -> int:
        # The longest share decides, so that all processes make as many steps; the last may be empty.
        share = math.ceil(len(self.films.labels) / self.world)
        return math.ceil(share / self.batch)

    def __iter__(self) -> Iterator[Batch]:
        return ahead(self._batch, range(len(self)), self.pin)

    def _batch(self, number: int) -> Batch:
        mine = np.arange(self.rank, len(self.films.labels), self.world)
        return gather(self.films, mine[number * self.batch : (number + 1) * self.batch])


def gather(films: Films, index: Array) -> Batch:
    """Copy some films out of the memory map."""
    return {"image": torch.from_numpy(films.images[index]), "label": torch.from_numpy(films.labels[index])}


def ahead(make: Any, numbers: range, pin: bool) -> Iterator[Batch]:
    """Batches made two steps before they are asked for; `pin` puts them in page-locked memory for a GPU."""

    def ready(number: int) -> Batch:
        batch: Batch = make(number)
        if pin:
            batch["image"] = batch["image"].pin_memory()
        return batch

    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(ready, number) for number in numbers[:2]]
        for number in numbers:
            batch = waiting.pop(0).result()
            if number + 2 in numbers:
                waiting.append(pool.submit(ready, number + 2))
            yield batch
