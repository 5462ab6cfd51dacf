"""A small NPZ set and a recipe that trains in seconds."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from cxr.npz.films import NpzFilm, NpzRow, encode_npz, write_index
from cxr.npz.pack import build_shards
from cxr.runtime.compute import Compute
from cxr.train.config import TrainSection
from cxr.train.train import RunPaths, train
from tests.settings import augmentation, machine, section

SIDE = 32
CLASSES = ("normal", "pneumonia")


def write_npz_set(
    folder: Path, train: int = 26, val: int = 13, side: int = SIDE, classes: tuple[str, ...] = CLASSES
) -> Path:
    """Films whose class shows as the brightness of one quarter, in noise; validation films have copies."""
    random = np.random.default_rng(5)
    rows = []
    splits = [(number, "train" if number < train else "val") for number in range(train + val)]
    splits += [(number, kind) for kind in ("corrupted", "swapped") for number in range(train, train + val)]
    for number, split in splits:
        label, name = number % len(classes), f"f{number}" if split in ("train", "val") else f"f{number}.{split}"
        grey = random.integers(40, 160, (side, side), dtype=np.uint8)
        grey[: side // 2, : side // 2] += np.uint8(20 * label)
        mask = np.zeros_like(grey)
        mask[4:-4, 4:-4] = 255
        image = np.stack([grey, grey, grey, mask], axis=2)
        film = NpzFilm(image, label, name, f"P{number}", classes, f"h{number}", (0, 0, 9, 9), (9, 9), "{}")
        path = folder / split / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_npz(film))
        rows.append(
            NpzRow(
                f"{split}/{name}.npz", film.image_id, film.patient_id, split, classes[label], classes, film.film_hash
            )
        )
    write_index(folder / "index.csv", rows)
    return folder


def write_shards(folder: Path, classes: tuple[str, ...] = CLASSES) -> Path:
    """The shards of a small set, several of them."""
    build_shards(write_npz_set(folder / "npz", classes=classes), folder / "shards", 10 * 2 * SIDE * SIDE)
    return folder / "shards"


@dataclass(frozen=True)
class Run:
    """Trains in one folder; the same folder again resumes what was killed."""

    places: RunPaths
    settings: TrainSection
    compute: Compute = field(default_factory=lambda: machine(accelerator="cpu"))

    def __call__(self, **changes: Any) -> "Run":
        torch.set_num_threads(1)
        train(self.settings.model_copy(update=changes), self.compute, self.places)
        return self

    @property
    def weights(self) -> bytes:
        return self.places.checkpoint.read_bytes()

    @property
    def history(self) -> pd.DataFrame:
        return pd.read_csv(self.places.history)


def places_in(folder: Path, shards: Path) -> RunPaths:
    return RunPaths(shards, folder / "classifier.ckpt", folder / "history.csv", None, folder / "runs")


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def recipe() -> TrainSection:
    """Noise, dropout and every augmentation on, so that nothing that could differ is hidden."""
    augment = augmentation(clahe=0.3, sharpen=0.5, blur=0.5, resolution=0.5, noise=0.5, jpeg=0.5)
    return section(
        TrainSection,
        backbone="test_resnet",
        weights="none",
        epochs=3,
        min_steps=0,
        keep="best",
        patience=10,
        warmup=0.2,
        batch=4,
        lr=1e-3,
        augment=augment,
    )


@pytest.fixture
def new_run(tmp_path: Path, shards: Path, recipe: TrainSection) -> Callable[[str], Run]:
    """Runs in folders of their own, all with one recipe."""
    return lambda name: Run(places_in(tmp_path / name, shards), recipe)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, shards: Path, recipe: TrainSection) -> Run:
    """A run of the recipe that nothing interrupted."""
    return Run(places_in(tmp_path_factory.mktemp("whole"), shards), recipe)()
