import numpy as np

from cxr.evaluate.features import lungs_masked, lungs_only, padding


def _film(lung_grey: int) -> np.ndarray:
    """A film of grey 100 between two padded bars, with a square of lung."""
    film = np.zeros((1, 40, 40, 4), np.uint8)
    film[0, :, 8:32, :3] = 100
    film[0, 10:20, 12:24, :3], film[0, 10:20, 12:24, 3] = lung_grey, 255
    return film


def test_masked_lungs_do_not_depend_on_the_lungs():
    """An opacity makes the lungs brighter; the masked films are equal."""
    assert np.array_equal(lungs_masked(_film(60)), lungs_masked(_film(180)))
    assert (lungs_masked(_film(60))[0, 10:20, 12:24, :3] == 100).all()


def test_masking_the_lungs_keeps_the_rest_of_the_film():
    film = _film(60)
    removed = lungs_masked(film)
    outside = film[..., 3] == 0
    assert np.array_equal(removed[outside], film[outside])
    assert np.array_equal(removed[..., 3], film[..., 3])


def test_lungs_only_masks_surroundings_and_padding():
    film = _film(60)
    kept = lungs_only(film)
    assert (kept[..., :3] == 60).all()
    other = film.copy()
    other[0, :, 8:10, :3] = 0  # wider bars
    other[0, 25:, 8:32, :3] = 240  # another abdomen
    assert np.array_equal(lungs_only(other), kept)


def test_padding_is_black_lines_at_the_edges_and_not_a_dark_lung():
    film = _film(0)
    found = padding(film)
    assert found[0, :, :8].all()
    assert found[0, :, 32:].all()
    assert not found[0, :, 8:32].any()


def test_a_film_without_a_mask_stays_unchanged():
    film = _film(60)
    film[..., 3] = 0
    assert np.array_equal(lungs_masked(film), film)
