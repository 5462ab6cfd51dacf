"""A data set of a few phantom films, in the segmenter pipeline's layout."""

from pathlib import Path

import cv2
import pytest

from segmenter.config import DatasetSection, FitSection, PrepareSection
from tests.conftest import phantom, write_image


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Two data sets: `child` (12 films of 6 patients, squashed to squares) and `adult` (3 films)."""
    sizes = ["file,width,height"]
    for index in range(12):
        film, mask = (cv2.resize(picture, (64, 64)) for picture in phantom(index, 96, 64))
        write_image(tmp_path / "child" / "images" / f"p{index // 2}" / f"p{index // 2}_{index}.png", film)
        write_image(tmp_path / "child" / "masks" / f"p{index // 2}_{index}.png", mask)
        sizes.append(f"p{index // 2}_{index}.png,960,640")
    (tmp_path / "child" / "sizes.csv").write_text("\n".join(sizes) + "\n")
    for index in range(3):
        for part, picture in zip(("images", "masks"), phantom(40 + index, 80, 100), strict=True):
            write_image(tmp_path / "adult" / part / f"a{index}.png", picture)
    return tmp_path


@pytest.fixture
def prepare(films: Path) -> PrepareSection:
    datasets = {
        "child": DatasetSection(patient=r"^p\d+", use="train"),
        "adult": DatasetSection(patient=r"^a\d+", use="test"),
    }
    return PrepareSection(root=films, datasets=datasets, frame_px=64, film_px=32, val_share=0.2, test_share=0.3, seed=0)


@pytest.fixture
def recipe() -> FitSection:
    return FitSection(
        inner_px=32,
        early_px=32,
        early_epochs=1,
        epochs=2,
        batch=4,
        lr=1e-3,
        weight_decay=0.01,
        frozen_blocks=2,
        precision="32-true",
        seed=0,
    )
