"""MedMNIST files whose arrays are no films are found by their shapes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxr.ingest.validate import validate_cohort
from tests.ingest.test_ingest import run, settings

NPZ: dict[str, Any] = {"layout": "medmnist", "patient_from": "image", "path_pattern": "none"}


def write(name: str, shape: tuple[int, ...], labels: Any = None) -> None:
    films = np.random.default_rng(0).integers(0, 255, (20, *shape), np.uint8)
    np.savez(name, train_images=films, train_labels=np.arange(20) % 2 if labels is None else labels)


def problem(**changes: Any) -> str:
    return "\n".join(str(one) for one in validate_cohort(settings(**NPZ | changes), b"")[1] if one.severity == "error")


@pytest.mark.parametrize("shape", [(784,), (1, 28, 28), (28, 28, 4), (28, 28, 28, 1)])
def test_arrays_of_another_shape_are_an_error(workspace: Path, shape: tuple[int, ...]) -> None:
    write("shape.npz", shape)
    assert "train_images: an array of shape" in problem(root="shape.npz", min_px=28)


@pytest.mark.parametrize("shape", [(28, 28), (28, 28, 1)])
def test_small_films_are_read_with_the_setting_of_the_message(workspace: Path, shape: tuple[int, ...]) -> None:
    write("small.npz", shape)
    assert "films of 28 x 28 pixels are smaller than data.min_px (64); set data.min_px: 28" in problem(root="small.npz")
    assert len(run(settings(**NPZ, root="small.npz", min_px=28))) == 20


def test_labels_as_objects_have_a_remedy_that_helps(workspace: Path) -> None:
    write("object.npz", (28, 28), np.array([str(number % 2) for number in range(20)], object))
    assert problem(root="object.npz", min_px=28).endswith("save it as an array of numbers")
