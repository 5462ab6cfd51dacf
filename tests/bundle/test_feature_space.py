import numpy as np
import pytest

from cxr.bundle.reference import fit_feature_space, signed_root


def films(count: int, seed: int = 0, channels: int = 40) -> np.ndarray:
    """Features whose roots have five directions of large variance, as those of a network."""
    rng = np.random.default_rng(seed)
    shapes = np.random.default_rng(9).standard_normal((5, channels))
    noise = 0.1 * rng.standard_normal((count, channels))
    return squared(3 + rng.standard_normal((count, 5)) @ shapes + noise)


def squared(roots: np.ndarray) -> np.ndarray:
    return (np.sign(roots) * np.square(roots)).astype(np.float32)


def test_films_like_those_of_training_have_a_distance_of_about_one() -> None:
    space = fit_feature_space(films(400))
    distances = space.distance(films(400, seed=1))
    assert np.median(distances) == pytest.approx(1, abs=0.2)


def test_the_distance_is_that_of_mahalanobis_if_all_directions_are_kept() -> None:
    features = films(2000, channels=8)
    space, others = fit_feature_space(features), films(50, seed=2, channels=8) * 2
    roots = signed_root(features)
    centred = signed_root(others) - roots.mean(axis=0)
    inverse = np.linalg.inv(np.cov(roots.T))
    expected = np.sqrt(np.einsum("ni,ij,nj->n", centred, inverse, centred) / 8)
    assert space.distance(others) == pytest.approx(expected, rel=1e-2)


def test_a_step_off_the_training_directions_is_far_and_one_along_them_is_not() -> None:
    features = films(400)
    space = fit_feature_space(features)
    along, beside = space.directions[0], np.linalg.qr(space.directions.T, mode="complete")[0][:, -1]
    centre = signed_root(features).mean(axis=0)
    steps = squared(np.stack([centre + along, centre + beside]))
    near, far = space.distance(steps)
    assert far > 5 * near


def test_channels_of_zeros_leave_distances_finite() -> None:
    features = films(100)
    features[:, 7] = 0
    assert np.isfinite(fit_feature_space(features).distance(films(10, seed=3))).all()


def test_roots_keep_their_sign() -> None:
    assert signed_root(np.float32([[-4, 0, 9]])).tolist() == [[-2, 0, 3]]
