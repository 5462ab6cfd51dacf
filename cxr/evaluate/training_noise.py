"""How much a figure moves when nothing but the seed of training changes."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxr.core.errors import CxrError
from cxr.evaluate.arrays import Floats

SEEDS = "metrics/seeds.json"  # written by tools.seeds; figures by their dotted name in metrics.json


@dataclass(frozen=True)
class Noise:
    """Standard deviation of a figure over training seeds, and the degrees of freedom behind it."""

    sd: float
    freedom: int


@dataclass(frozen=True)
class TrainingNoise:
    """Noise by figure of one split, and where it is known from."""

    figures: dict[str, Noise]
    source: str  # as a sentence goes on: `sd over 5 seeds of main's metrics/seeds.json`


def noise_of_file(text: str, split: str, where: str) -> TrainingNoise:
    """The noise that `metrics/seeds.json` tells for a split; raises CxrError when the text is damaged."""
    try:
        document: dict[str, Any] = json.loads(text)
        seeds, figures = len(document["seeds"]), document["figures"]
        found = {
            name.removeprefix(f"{split}."): Noise(float(facts["sd"]), seeds - 1)
            for name, facts in figures.items()
            if name.startswith(f"{split}.") and facts["sd"] is not None
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CxrError(f"{where}: no readable summary of seeds; run `make seeds` again") from error
    return TrainingNoise(found if seeds > 1 else {}, f"sd over {seeds} seeds, {where}")


def noise_of_runs(*sides: dict[str, list[float]]) -> TrainingNoise | None:
    """The noise within sides of several runs each, pooled; None where no side has two.

    Args:
        sides: the figures of each side's runs, by name.
    """
    several = [side for side in sides if len(next(iter(side.values()))) > 1]
    if not several:
        return None
    figures = {}
    for name in several[0]:
        squares = sum(float(np.square(np.subtract(side[name], np.mean(side[name]))).sum()) for side in several)
        freedom = sum(len(side[name]) - 1 for side in several)
        figures[name] = Noise(float(np.sqrt(squares / freedom)), freedom)
    return TrainingNoise(figures, f"sd over the {' and '.join(str(len(next(iter(s.values())))) for s in several)} runs")


def draws(noise: Noise, runs_a: int, runs_b: int, count: int, seed: int) -> Floats:
    """Draws of the difference of two means of runs that training noise alone makes, (count,).

    Student's t stands for the uncertainty of a standard deviation that few seeds gave.
    """
    random = np.random.default_rng(seed)
    return np.asarray(noise.sd * np.sqrt(1 / runs_a + 1 / runs_b) * random.standard_t(noise.freedom, count))
