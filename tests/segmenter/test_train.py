from pathlib import Path

import numpy as np
import pytest
import torch

from segmenter.config import FitSection
from segmenter.network import frozen_parts, new_network
from segmenter.train import TrainFilms, dice_of, fit, lung_loss
from tests.conftest import phantom

PHANTOMS = [phantom(seed, 32, 32) for seed in range(8)]
FILMS, MASKS = (np.stack(pictures) for pictures in zip(*PHANTOMS, strict=True))
LEARN, CHECK = list(range(8)), [0, 1]


def test_a_run_that_was_killed_ends_as_if_it_had_not_been(
    recipe: FitSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight, history = fit(FILMS, MASKS, LEARN, CHECK, recipe, tmp_path / "straight")

    def killed(films: TrainFilms, position: int) -> None:
        if films.epoch == 1:
            raise KeyboardInterrupt
        return item(films, position)

    item = TrainFilms.__getitem__
    with monkeypatch.context() as patch, pytest.raises(BaseException):  # noqa: B017, PT011, PT012
        patch.setattr(TrainFilms, "__getitem__", killed)
        fit(FILMS, MASKS, LEARN, CHECK, recipe, tmp_path / "killed")
    assert (tmp_path / "killed" / "last.ckpt").is_file()
    resumed, history_again = fit(FILMS, MASKS, LEARN, CHECK, recipe, tmp_path / "killed")
    for ours, theirs in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert history_again.to_dict() == history.to_dict()
    assert list(history["epoch"]) == [0, 1]


def test_frozen_blocks_and_their_statistics_stay_as_they_were(recipe: FitSection, tmp_path: Path) -> None:
    before = new_network(recipe.frozen_blocks)
    after, _ = fit(FILMS, MASKS, LEARN, CHECK, recipe, tmp_path)
    for old, new in zip(frozen_parts(before, 2), frozen_parts(after, 2), strict=True):
        for ours, theirs in zip(old.state_dict().values(), new.state_dict().values(), strict=True):
            assert torch.equal(ours, theirs)
    learned = zip(before.unet.decoder.state_dict().values(), after.unet.decoder.state_dict().values(), strict=True)
    assert any(not torch.equal(ours, theirs) for ours, theirs in learned)


def test_early_epochs_are_smaller_and_each_epoch_shows_every_film_once(recipe: FitSection) -> None:
    films = TrainFilms(FILMS, MASKS, LEARN, recipe.model_copy(update={"inner_px": 64}))
    assert films[0][0].shape == (3, 32, 32)
    first = list(films.order)
    films.set_epoch(1)
    assert films[0][0].shape == (3, 64, 64)
    assert sorted(films.order) == sorted(first) == LEARN
    assert list(films.order) != first


def test_the_loss_is_least_for_the_right_mask() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:6, 2:6] = 1
    right, wrong = lung_loss(20 * (mask - 0.5), mask), lung_loss(20 * (0.5 - mask), mask)
    assert float(right) == pytest.approx(0, abs=1e-3)
    assert float(wrong) > 10


def test_dice_counts_twice_the_overlap_over_the_sum() -> None:
    one, other, empty = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    one[..., :2], other[..., 1:3] = True, True
    dice = dice_of(torch.stack([one, one, empty]), torch.stack([one, other, empty]))
    assert dice.tolist() == [1.0, 0.5, 1.0]
