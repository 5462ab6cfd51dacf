"""How well acquisition features (sharpness, contrast, exposure and others, none of the lungs) predict the label of
training films, plain and augmented.

A logistic regression on `cxr.acquisition.statistics` is cross-validated, grouped by patient. At an AUROC of 0.5,
acquisition does not predict the label; above it, a network can learn acquisition instead of the disease.

    python -m benchmarks.augmentation                       # the NPZ set of this workspace, settings of params.yaml
    python -m benchmarks.augmentation --npz path --films 800
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cxr.acquisition.score import out_of_fold_logits, ovr_auroc
from cxr.acquisition.statistics import acquisition_statistics
from cxr.core.config import load_section
from cxr.npz.films import read_index, read_npz
from cxr.train.augment import DRAWS, augment, plan
from cxr.train.config import AugmentSection, TrainSection
from cxr.train.data import Films, FilmSet, epoch_order
from cxr.train.sampling import sampling_weights

BATCH = 32
Array = np.ndarray[Any, Any]


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--npz", type=Path, default=Path("data/npz"))
    parser.add_argument("--films", type=int, default=800, help="at most, of each class alike")
    options = parser.parse_args()
    recipe = load_section("train", TrainSection)
    settings = recipe.augment
    still = dict.fromkeys(("sharpen", "blur", "resolution", "noise", "jpeg", "clahe"), 0.0)
    rows = [row for row in read_index(options.npz) if row.split == "train"]
    rows = [rows[place] for place in evenly(np.array([row.label for row in rows]), options.films)]
    images = np.stack([read_npz(options.npz / row.file).image for row in rows])
    films = torch.from_numpy(np.ascontiguousarray(images[..., [0, 3]].transpose(0, 3, 1, 2)))  # grey and mask
    positive = rows[0].classes[-1]
    pairs = [(row.label == positive, row.patient_id) for row in rows]
    label, patient = (np.array(values) for values in zip(*pairs, strict=True))
    print(f"{len(rows)} training films of {films.shape[-1]} px: AUROC of acquisition for {positive!r}")
    print(f"{'plain':<32}{auroc(films, label, patient):.3f}")
    sections = {"geometry and exposure": settings.model_copy(update=still)}
    for name, section in {**sections, "all of train.augment": settings}.items():
        print(f"{name:<32}{auroc(augmented(films, section), label, patient):.3f}")
    if recipe.balance == "acquisition":
        drawn = as_drawn(films, label.astype(np.int64), patient.tolist(), recipe.seed)
        told = auroc(augmented(films[drawn], settings), label[drawn], patient[drawn])
        print(f"{'all of it, as films are drawn':<32}{told:.3f}")


def evenly(labels: Array, films: int) -> Array:
    """Indices of at most `films` films, with equal numbers per class."""
    random, classes = np.random.default_rng(0), np.unique(labels)
    chosen = [random.permutation(np.flatnonzero(labels == one))[: films // len(classes)] for one in classes]
    return np.sort(np.concatenate(chosen))


def as_drawn(films: torch.Tensor, label: Array, patients: list[str], seed: int) -> Array:
    """Indices of one epoch of films, drawn as with `train.balance: acquisition`."""
    drawn = Films(films.numpy(), label)
    weights = sampling_weights(FilmSet(drawn, patients, drawn, {}, ("other", "positive"), films.shape[-1], "", ""))
    return epoch_order(label, seed, 0, balanced=True, films=len(label), weights=weights)


def augmented(films: torch.Tensor, settings: AugmentSection) -> torch.Tensor:
    """Each film changed once, as in training."""
    torch.manual_seed(0)
    parts = [augment(part, plan(torch.rand(len(part), DRAWS), settings), settings) for part in films.split(BATCH)]
    return torch.cat(parts).round().to(torch.uint8)


def auroc(films: torch.Tensor, label: Array, patient: Array) -> float:
    """Cross-validated AUROC of the label given the acquisition statistics of films (N, C, H, W)."""
    statistics = np.stack([acquisition_statistics(film[0].numpy()) for film in films])
    return ovr_auroc(label.astype(np.int64), out_of_fold_logits(statistics, label, patient.tolist()))


if __name__ == "__main__":
    main()
