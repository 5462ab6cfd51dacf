import numpy as np
import pytest

from segmenter.augment import add_opacity, add_text, add_tubes, augment, collimate, degrade, expose, move
from tests.conftest import phantom

FILM, MASK = phantom(3, 96, 96)


def test_a_seed_decides_how_a_film_is_changed() -> None:
    one, other, third = (augment(FILM, MASK, 64, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    assert (one[0] != third[0]).any()


@pytest.mark.parametrize("seed", range(40))
def test_film_and_mask_move_together(seed: int) -> None:
    """Lungs are dark in the phantom: after any movement the mask still covers what is dark inside the chest."""
    film, mask = move(FILM, MASK, 64, np.random.default_rng(seed))
    inside, around = film[mask > 250], film[(mask < 5) & (film > 0)]
    assert np.median(inside) < 100 < np.median(around)


def test_opacities_whiten_and_never_darken() -> None:
    for seed in range(20):
        assert (add_opacity(FILM, MASK, np.random.default_rng(seed)) >= FILM).all()


def test_tubes_text_exposure_and_noise_change_the_film() -> None:
    for change in (add_tubes, add_text, expose, degrade):
        changed = [change(FILM.copy(), np.random.default_rng(seed)) for seed in range(8)]
        assert all(film.dtype == np.uint8 and film.shape == FILM.shape for film in changed)
        assert any((film != FILM).any() for film in changed)


def test_exposure_leaves_the_padding_black() -> None:
    film = FILM.copy()
    film[:20] = 0
    assert all(expose(film, np.random.default_rng(seed))[:20].max() == 0 for seed in range(20))


def test_lung_that_is_blacked_out_is_not_asked_for() -> None:
    for seed in range(8):
        film, mask = collimate(FILM, MASK, np.random.default_rng(seed))
        assert (film == 0).any()
        assert not mask[film == 0].any()
        np.testing.assert_array_equal(film[film > 0], FILM[film > 0])
