"""Films per second that reach the model, fully augmented: shards, torchvision ImageFolder, MONAI CacheDataset.

All three give batches of 224 px with the same kinds of augmentation (turn, random crop, flip, brightness, contrast,
gamma, blur, noise) at the settings of params.yaml; what the recipe does besides, and the peers lack, is a row
of its own. The peers are written as their documentation shows:
ImageFolder decodes one JPEG per film in DataLoader workers, one film at a time; MONAI holds decoded films in memory and
transforms them one at a time. Opening the data set and its first epoch count: a cache is filled then. The shards come
from the stage of their name, once for all runs; what that takes of a film is printed apart. Rates are films per second
of processor time of all processes, times the cores, so that other work on the machine disturbs the ratios little; each
is the best of some rounds, in which all take turns.

    python -m benchmarks.loader --images path/to/chest_xray/train
    python -m benchmarks.loader               # on synthetic JPEGs
"""

import argparse
import resource
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import joblib
import numpy as np
import torch
from monai import transforms as M
from monai.data import CacheDataset
from monai.data import DataLoader as MonaiLoader
from torch.utils.data import DataLoader
from torchvision import transforms as T
from torchvision.datasets import ImageFolder

from cxr.core.config import load_section
from cxr.npz.films import NpzFilm, NpzRow, encode_npz, write_index
from cxr.npz.pack import build_shards
from cxr.npz.shards import open_shards
from cxr.train.augment import augment
from cxr.train.config import AugmentSection, TrainSection
from cxr.train.data import FilmData, Films, FilmSet
from cxr.train.device import keep_freed_memory

SIDE = 224
BATCH = 32
OURS_ONLY = {"clahe": 0.0, "sharpen": 0.0, "resolution": 0.0, "jpeg": 0.0}


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="a folder of class folders with JPEGs; default: synthetic ones")
    parser.add_argument("--films", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    settings = load_section("train", TrainSection).augment
    with tempfile.TemporaryDirectory(prefix="loader-") as name:
        root = Path(name) / "images"
        copy_films(root, options.images, options.films)
        write_npz_set(root, Path(name) / "npz")
        written = processor_seconds()
        build_shards(Path(name) / "npz", Path(name) / "shards")
        packing = (processor_seconds() - written) / options.films
        makers: dict[str, Callable[[], Iterable[Any]]] = {
            "shards, augmented in batch": lambda: shards(Path(name) / "shards", settings.model_copy(update=OURS_ONLY)),
            "shards, all of the recipe": lambda: shards(Path(name) / "shards", settings),
            "torchvision ImageFolder": lambda: image_folder(root, settings),
            "MONAI CacheDataset": lambda: monai_cache(root, settings),
        }
        found = [{title: rate(make, options.epochs) for title, make in makers.items()} for _ in range(options.rounds)]
    rates = {title: max(each[title] for each in found) for title in makers}
    ours, _, *peers = rates.values()
    print(f"{options.films} films of {SIDE} px, {joblib.cpu_count()} cores, {options.epochs} epochs, films per second")
    for title, value in rates.items():
        print(f"{title:<36}{value:>9.0f}{ours / value:>8.1f}x")
    print(
        f"shards over the better peer: {ours / max(peers):.1f}x; packing took {1000 * packing:.1f} ms of a film, once"
    )


def rate(make: Callable[[], Iterable[Any]], epochs: int) -> float:
    """Films per second of processor time, times cores, from the opening of the data set on."""
    start, films = processor_seconds(), 0
    batches = make()
    for _ in range(epochs):
        films += sum(len(batch) for batch in batches)
    return films / (processor_seconds() - start) * joblib.cpu_count()


def processor_seconds() -> float:
    """Of this process and of its finished children."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def write_npz_set(root: Path, folder: Path) -> None:
    """The same pictures as NPZ films."""
    rows = []
    folder.mkdir()
    for number, path in enumerate(sorted(root.rglob("*.jpg"))):
        grey = cv2.imread(str(path), 0)
        image = np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=2)
        name, label, box = f"film{number}", ("a", "b")[number % 2], (0, 0, SIDE, SIDE)
        film = NpzFilm(image, number % 2, name, name, ("a", "b"), name, box, (SIDE, SIDE), "{}")
        (folder / f"{name}.npz").write_bytes(encode_npz(film))
        rows.append(NpzRow(f"{name}.npz", name, name, "train", label, ("a", "b"), name))
    write_index(folder / "index.csv", rows)


def shards(folder: Path, settings: AugmentSection) -> Iterable[Any]:
    """Our loader and augmentation, from memory-mapped shards, in a process set up as the train stage is."""
    keep_freed_memory()
    found = open_shards(folder)
    films = Films(found.films("train"), found.labels("train"))
    recipe = load_section("train", TrainSection).model_copy(
        update={"batch": BATCH, "min_steps": 0, "balance": "none", "augment": settings}
    )
    data = FilmData(FilmSet(films, [], films, {}, found.classes, found.image_px, "", ""), recipe)

    class Augmented:
        def __iter__(self) -> Any:
            for batch in data.train_batches(0, 0, torch.device("cpu")):
                torch.manual_seed(batch["seed"])
                yield augment(batch["image"], batch["plan"], settings)

    return Augmented()


def image_folder(root: Path, settings: AugmentSection) -> Iterable[Any]:
    """torchvision's reference way."""

    def gamma(image: torch.Tensor) -> torch.Tensor:
        return image ** (2 ** float(torch.empty(1).uniform_(-settings.gamma, settings.gamma)))

    def noise(image: torch.Tensor) -> torch.Tensor:
        if torch.rand(1) >= settings.noise:
            return image
        return image + torch.randn_like(image) * settings.noise_std / 255 * torch.rand(1)

    changes = T.Compose(
        [
            T.RandomRotation(settings.rotation),
            T.RandomResizedCrop(SIDE, (settings.crop_scale, 1), (1 / settings.crop_ratio, settings.crop_ratio)),
            T.RandomHorizontalFlip(settings.flip),
            T.ColorJitter(settings.brightness, settings.contrast),
            T.ToTensor(),
            gamma,
            T.RandomApply([T.GaussianBlur(9, (0.3, settings.blur_sigma))], settings.blur),
            noise,
        ]
    )
    loader = DataLoader(ImageFolder(str(root), changes), BATCH, shuffle=True, num_workers=joblib.cpu_count())
    return FirstOfPair(loader)


def monai_cache(root: Path, settings: AugmentSection) -> Iterable[Any]:
    """MONAI's cached data set with its own transforms."""
    shift = settings.brightness
    changes = M.Compose(
        [
            M.LoadImage(image_only=True, ensure_channel_first=True, reader="PILReader"),
            M.ScaleIntensity(),
            M.RandAffine(
                prob=1.0,
                rotate_range=np.radians(settings.rotation),
                scale_range=1 - settings.crop_scale**0.5,
                translate_range=10,
            ),
            M.RandFlip(settings.flip, spatial_axis=0),
            M.RandShiftIntensity(shift, prob=1.0),
            M.RandAdjustContrast(prob=1.0, gamma=(2**-settings.gamma, 2**settings.gamma)),
            M.RandGaussianSmooth(
                sigma_x=(0.3, settings.blur_sigma), sigma_y=(0.3, settings.blur_sigma), prob=settings.blur
            ),
            M.RandGaussianNoise(settings.noise, std=settings.noise_std / 255),
        ]
    )
    films = [str(path) for path in sorted(root.rglob("*.jpg"))]
    films_in_memory = CacheDataset(films, changes, progress=False)
    return MonaiLoader(films_in_memory, batch_size=BATCH, shuffle=True, num_workers=joblib.cpu_count())


class FirstOfPair:
    """Batches without their labels."""

    def __init__(self, pairs: Iterable[Any]) -> None:
        self.pairs = pairs

    def __iter__(self) -> Any:
        return (image for image, _ in self.pairs)


def copy_films(root: Path, images: Path | None, films: int) -> None:
    """JPEGs of 224 px in two class folders: real ones, or smooth noise."""
    random = np.random.default_rng(0)
    sources = sorted(images.rglob("*.jp*g"))[:films] if images else [None] * films
    for number, source in enumerate(sources):
        if source is None:
            film = cv2.GaussianBlur(random.integers(0, 256, (SIDE, SIDE), dtype=np.uint8), (0, 0), 2)
        else:
            film = cv2.resize(cv2.imread(str(source), 0), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        path = root / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), film)


if __name__ == "__main__":
    main()
