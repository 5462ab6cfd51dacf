import numpy as np
import torch

from cxr.train.augment import augment
from cxr.train.filters import blur
from cxr.train.matching import match, match_levels
from tests.train.test_augment import OFF, draws, film

INSIDE = torch.ones(1, 1, 96, 96, dtype=torch.bool)


def grey(seed: int) -> torch.Tensor:
    """A film without its mask, float (1, 1, 96, 96)."""
    return film(seed)[:, :1].float()


def sharpness(image: torch.Tensor) -> float:
    """Root mean square of what a blur of one pixel takes away."""
    return float((image - blur(image, torch.ones(len(image), dtype=torch.double))).square().mean().sqrt())


def test_a_film_takes_the_grey_levels_of_the_other_and_keeps_its_own_shapes() -> None:
    dark = grey(1) * 0.4 + 20
    matched = match_levels(grey(0), INSIDE, dark, INSIDE)
    percents = (1, 25, 50, 75, 99)
    assert np.allclose(np.percentile(matched, percents), np.percentile(dark.round(), percents), atol=2)
    assert np.corrcoef(matched.ravel(), grey(0).ravel())[0, 1] > 0.98


def test_a_film_matched_to_itself_stays_as_it_is() -> None:
    assert torch.allclose(match(grey(0), INSIDE, grey(0), INSIDE), grey(0), atol=0.01)


def test_a_sharp_film_becomes_as_soft_as_the_other() -> None:
    torch.manual_seed(0)
    sharp = (grey(0) + 12 * torch.randn(1, 1, 96, 96)).clamp(0, 255)
    soft = grey(1)
    matched = match(sharp, INSIDE, soft, INSIDE)
    assert sharpness(sharp) > 3 * sharpness(soft)
    assert sharpness(matched) < 1.5 * sharpness(soft)


def test_black_bars_beside_the_other_film_do_not_darken_a_film() -> None:
    bars = grey(1)
    bars[..., :40] = 0
    inside = INSIDE.clone()
    inside[..., :40] = False
    assert (match_levels(grey(0), INSIDE, bars, inside) == 0).float().mean() < 0.02
    assert (match_levels(grey(0), INSIDE, bars, INSIDE) == 0).float().mean() > 0.3


def test_in_a_batch_each_film_takes_the_look_of_another_film_of_the_batch() -> None:
    batch = torch.cat([film(0), film(1)]).float()
    batch[1, 0] = batch[1, 0] * 0.2 + 180
    table = draws(2)
    table[:, -1] = torch.tensor([0.9, 0.1])  # the column that orders the partners: each gets the other
    changed = augment(batch, table, OFF.model_copy(update={"match": 1.0}))
    assert abs(float(changed[0, 0].mean() - batch[1, 0].mean())) < 3
    assert abs(float(changed[1, 0].mean() - batch[0, 0].mean())) < 3
    assert torch.allclose(changed[:, 1], batch[:, 1], atol=1e-3)  # masks stay
