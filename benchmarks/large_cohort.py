"""A synthetic cohort of any number of films, at the size of real ones."""

from pathlib import Path

import cv2
import numpy as np

from cxr.core.config import load_section
from cxr.ingest.config import DataSection
from cxr.runtime.console import progress
from demo.anatomy import sample_anatomy, sample_pose
from demo.canvas import Image
from demo.film import draw_film, sample_exposure
from testing.workspace import ROOT

WIDTH, HEIGHT = 1500, 1200  # pixels, about the median of a hospital's children's films
DISTINCT = 24  # films that are drawn; the others are shifted copies with other bytes


def write_large_cohort(root: Path, films: int, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Write `films` JPEG films of one patient each under `root/<label>/`, no two with equal bytes or pixels."""
    drawn = [_draw(seed, width, height) for seed in progress(range(min(DISTINCT, films)), min(DISTINCT, films), "draw")]
    for label in ("NORMAL", "PNEUMONIA"):
        (root / label).mkdir(parents=True, exist_ok=True)
    for number in progress(range(films), films, "write"):
        write_film(root, number, drawn[number % len(drawn)])


def write_film(root: Path, number: int, film: Image) -> None:
    """Write the film of patient `number`, rolled and brightened by the number, so that it is unique."""
    shifted = np.roll(film, (number // DISTINCT) % 40 - 20, axis=1)
    shifted = cv2.add(shifted, np.full_like(shifted, (number // (DISTINCT * 40)) % 20))
    path = root / ("NORMAL", "PNEUMONIA")[number % 2] / f"P{number:06d}.jpg"
    cv2.imwrite(str(path), shifted, [cv2.IMWRITE_JPEG_QUALITY, 90])


def data_section(root: Path) -> DataSection:
    """The `data` section for such a cohort."""
    changes = {"root": str(root), "layout": "folders", "path_pattern": r"(?P<patient_id>P\d+)", "masks_dir": "none"}
    return load_section("data", DataSection, ROOT / "params.yaml").model_copy(update=changes)


def _draw(seed: int, width: int, height: int) -> Image:
    rng = np.random.default_rng([7, seed])
    anatomy = sample_anatomy(rng)
    film, _ = draw_film(anatomy, sample_pose(anatomy, rng), sample_exposure(rng), None, rng)
    large = cv2.resize(film * np.float32(255), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = rng.normal(0, 2, (height, width))  # enlarging has smoothed the film's own, and JPEG would be too small
    return np.clip(np.rint(large + grain), 0, 255).astype(np.uint8)
