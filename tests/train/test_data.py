import numpy as np
import pytest
import torch

from cxr.train.config import TrainSection
from cxr.train.data import Batch, FilmData, Films, FilmSet, epoch_order
from tests.settings import section

N = 23
FILMS = Films(
    images=np.arange(N, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 2), np.uint8),
    labels=np.array([0] * 17 + [1] * 6),
)


CPU = torch.device("cpu")


def film_data(rank: int = 0, world: int = 1) -> FilmData:
    films = FilmSet(FILMS, [], FILMS, {}, ("normal", "pneumonia"), 2, "", "")
    return FilmData(films, section(TrainSection, batch=4, seed=1, min_steps=0, balance="none"), rank, world)


def train_batches(start: int = 0, rank: int = 0, world: int = 1) -> list[Batch]:
    return list(film_data(rank, world).train_batches(0, start, CPU))


def names(images: torch.Tensor) -> list[int]:
    return [int(value) for value in images[:, 0, 0, 0]]


def test_an_epoch_shows_films_once_and_another_epoch_in_another_order() -> None:
    seen = [name for batch in train_batches() for name in names(batch["image"])]
    assert len(seen) == len(set(seen)) == 20
    first, second = (epoch_order(FILMS.labels, 1, epoch, balanced=False, films=N).tolist() for epoch in (0, 1))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(N))


def test_an_epoch_taken_up_in_the_middle_gives_the_same_films_and_the_same_randomness() -> None:
    whole, rest = train_batches(), train_batches(start=2)
    assert len(rest) == 3
    for one, other in zip(whole[2:], rest, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["plan"].tensors["maps"], other["plan"].tensors["maps"])
        assert one["seed"] == other["seed"]


def test_two_processes_divide_the_films_and_draws_of_each_batch() -> None:
    for one, left, right in zip(train_batches(), train_batches(world=2), train_batches(rank=1, world=2), strict=True):
        assert names(one["image"])[0::2] == names(left["image"])
        assert names(one["image"])[1::2] == names(right["image"])
        assert torch.equal(one["plan"].tensors["maps"][1::2], right["plan"].tensors["maps"])


def test_the_balanced_sampler_draws_classes_evenly() -> None:
    labels = np.array([0] * 900 + [1] * 100)
    order = epoch_order(labels, 3, 0, balanced=True, films=1000)
    assert len(order) == 1000
    assert 0.49 < labels[order].mean() < 0.51
    assert len(set(order[labels[order] == 1])) == 100  # each film of the rare class comes before any comes again
    assert len(set(order[labels[order] == 0])) >= 499


def test_with_weights_films_are_drawn_by_them_and_classes_still_evenly() -> None:
    labels, weights = np.array([0] * 900 + [1] * 100), np.ones(1000)
    weights[::10] = 5
    order = epoch_order(labels, 3, 0, balanced=True, films=20_000, weights=weights)
    assert 0.49 < labels[order].mean() < 0.51
    for label in (0, 1):
        own = order[labels[order] == label]
        assert (own % 10 == 0).mean() == pytest.approx(5 / 14, abs=0.02)


def test_an_epoch_longer_than_the_set_shows_each_film_as_often() -> None:
    order = epoch_order(FILMS.labels, 1, 0, balanced=False, films=3 * N)
    assert np.bincount(order).tolist() == [3] * N


def test_scoring_shares_films_out_without_repeating_any_and_with_as_many_steps_everywhere() -> None:
    for world in (1, 2, 3):
        seen, steps = [], set()
        for rank in range(world):
            parts = list(film_data(rank, world).scored_batches(FILMS, CPU))
            steps.add(len(parts))
            seen += [name for part in parts for name in names(part["image"])]
        assert sorted(seen) == list(range(N))
        assert len(steps) == 1
