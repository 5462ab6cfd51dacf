import numpy as np
import pytest

from cxr.evaluate.intervals import patient_weights, percentile_interval, resampled


def test_films_of_one_patient_are_drawn_together():
    patients = ["a", "b", "a", "c", "b"]
    weights = np.concatenate(list(patient_weights(patients, 500, seed=0)))
    assert weights.shape == (500, 5)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch):
    patients = [f"p{number}" for number in range(50)]
    whole = np.concatenate(list(patient_weights(patients, 40, seed=1)))
    monkeypatch.setattr("cxr.evaluate.intervals.CELLS", 350)
    blocks = list(patient_weights(patients, 40, seed=1))
    assert len(blocks) == 6
    assert (np.concatenate(blocks) == whole).all()


def test_several_films_a_patient_widen_the_interval():
    random = np.random.default_rng(0)
    ability = np.repeat(random.random(60) < 0.8, 5).astype(float)
    measure = lambda weights: {"accuracy": weights @ ability / weights.sum(axis=1)}  # noqa: E731
    widths = []
    for patients in ([f"p{i // 5}" for i in range(300)], [f"p{i}" for i in range(300)]):
        low, high = percentile_interval(resampled(measure, patients, 1000, 0)["accuracy"])
        widths.append(high - low)
    assert widths[0] > 1.8 * widths[1]


def test_no_interval_where_many_resamples_have_no_value():
    assert percentile_interval(np.r_[np.full(10, np.nan), np.ones(90)]) is None
    assert percentile_interval(np.r_[np.full(1, np.nan), np.linspace(0, 1, 99)]) == pytest.approx((0.025, 0.975))
