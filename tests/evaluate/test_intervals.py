"""The data of DeLong, DeLong & Clarke-Pearson (1988) are from the SAS/STAT User's Guide, PROC LOGISTIC, example
"Comparing Receiver Operating Characteristic Curves".
"""

import numpy as np
import pytest
from scipy.stats import binomtest
from scipy.stats import t as student

from cxr.evaluate.intervals import (
    GROUPS,
    Sample,
    leave_out_weights,
    likelihood_ratio_interval,
    patient_weights,
    percentile_interval,
    ratio_interval,
    resampled,
    share_interval,
    signed_interval,
    standard_error,
    standard_errors,
)
from cxr.evaluate.metrics import weighted_auroc

ALBUMIN = "3.0 3.2 3.9 2.8 3.2 0.9 2.5 1.6 3.8 3.7 3.2 3.8 4.1 3.6 4.3 3.6 2.3 4.2 4.0 3.5 3.8 3.0 4.5 3.7 3.1 4.1 4.3 \
4.3 3.2 2.6 3.3 1.7 3.7 3.3 4.2 3.5 2.9 2.1 2.8 4.0 3.3 3.7 3.6"
SURGERY_HELPED = "0110100111111110100110111111110011110101111"


def test_the_standard_error_of_an_auroc_equals_the_published_value():
    surgery = np.array([float(digit) for digit in SURGERY_HELPED])
    albumin = np.array(ALBUMIN.split(), dtype=float)
    patients = [str(number) for number in range(len(surgery))]
    found = standard_errors(lambda weights: {"auroc": weighted_auroc(surgery, albumin, weights)}, patients)
    assert found["auroc"] == pytest.approx(0.0927, rel=0.03)


def test_the_standard_error_of_a_mean_equals_the_formula():
    values = np.random.default_rng(0).normal(size=30)
    weights = leave_out_weights([f"p{number:02d}" for number in range(30)])
    assert standard_error(weights @ values / 29) == pytest.approx(values.std(ddof=1) / np.sqrt(30))


def test_films_of_one_patient_are_left_out_together():
    weights = leave_out_weights(["a", "b", "a"])
    assert weights.tolist() == [[0, 1, 0], [1, 0, 1]]


def test_many_patients_are_left_out_in_groups():
    weights = leave_out_weights([f"p{number}" for number in range(3 * GROUPS)])
    assert weights.shape == (GROUPS, 3 * GROUPS)
    assert (weights.sum(axis=1) == 3 * GROUPS - 3).all()


def test_independent_films_get_wilsons_interval():
    """With so many patients that Student's t is the normal distribution."""
    n, right = 4000, 3600
    error = np.sqrt(0.9 * 0.1 / n)
    expected = binomtest(right, n).proportion_ci(method="wilson")
    assert share_interval(0.9, error, Sample(n, n)) == pytest.approx((expected.low, expected.high), abs=1e-5)


def test_several_films_per_patient_widen_the_interval():
    ability = np.repeat(np.random.default_rng(0).random(60) < 0.8, 5).astype(float)
    share = float(ability.mean())
    widths = []
    for patients in ([f"p{i // 5}" for i in range(300)], [f"p{i}" for i in range(300)]):
        errors = standard_errors(lambda weights: {"share": weights @ ability / weights.sum(axis=1)}, patients)
        low, high = share_interval(share, errors["share"], Sample(len(set(patients)), 300))
        widths.append(high - low)
    assert widths[0] > 1.8 * widths[1]


def test_without_a_wrong_film_the_sample_size_is_the_number_of_patients():
    low, high = share_interval(1.0, 0.0, Sample(20, 60))
    z = student.ppf(0.975, 19)
    assert (low, high) == (pytest.approx(20 / (20 + z * z)), 1.0)
    assert share_interval(0.0, 0.0, Sample(20, 60)) == (0.0, pytest.approx(1 - low))


def test_one_patient_and_an_unknown_error_give_no_interval():
    assert share_interval(0.5, 0.1, Sample(1, 5)) is None
    assert share_interval(0.5, np.nan, Sample(9, 9)) is None
    assert ratio_interval(0.5, np.nan, Sample(9, 9)) is None


def test_a_signed_metric_has_the_rescaled_interval_of_a_share():
    low, high = share_interval(0.9, 0.05, Sample(30, 60))
    assert signed_interval(0.8, 0.1, Sample(30, 60)) == pytest.approx((2 * low - 1, 2 * high - 1))


def test_the_interval_of_a_likelihood_ratio_is_finite_unless_the_divisor_may_be_zero():
    low, high = likelihood_ratio_interval(0.9, (0.8, 0.95), 0.1, (0.05, 0.2))
    assert 4 < low < 9 < high < 20
    low, high = likelihood_ratio_interval(0.9, (0.8, 0.95), 0.0, (0.0, 0.1))
    assert 0 < low < 9
    assert high == np.inf


def test_films_of_one_patient_are_drawn_together():
    patients = ["a", "b", "a", "c", "b"]
    weights = np.concatenate(list(patient_weights(patients, 500, seed=0)))
    assert weights.shape == (500, 5)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, 1] == weights[:, 4]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_the_block_size_does_not_change_the_resamples(monkeypatch: pytest.MonkeyPatch):
    patients = [f"p{number}" for number in range(50)]
    whole = np.concatenate(list(patient_weights(patients, 40, seed=1)))
    monkeypatch.setattr("cxr.evaluate.intervals.CELLS", 350)
    blocks = list(patient_weights(patients, 40, seed=1))
    assert len(blocks) == 6
    assert (np.concatenate(blocks) == whole).all()


def test_several_films_per_patient_widen_the_bootstrap_interval():
    random = np.random.default_rng(0)
    ability = np.repeat(random.random(60) < 0.8, 5).astype(float)
    measure = lambda weights: {"accuracy": weights @ ability / weights.sum(axis=1)}  # noqa: E731
    widths = []
    for patients in ([f"p{i // 5}" for i in range(300)], [f"p{i}" for i in range(300)]):
        low, high = percentile_interval(resampled(measure, patients, 1000, 0)["accuracy"])
        widths.append(high - low)
    assert widths[0] > 1.8 * widths[1]


def test_many_resamples_without_a_value_give_no_interval():
    assert percentile_interval(np.r_[np.full(10, np.nan), np.ones(90)]) is None
    assert percentile_interval(np.r_[np.full(1, np.nan), np.linspace(0, 1, 99)]) == pytest.approx((0.025, 0.975))
