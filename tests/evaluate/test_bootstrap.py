import numpy as np
import pytest

from cxr.evaluate.binary import decision_figures
from cxr.evaluate.bootstrap import patient_weights, percentile_interval, resampled
from cxr.evaluate.ranking import weighted_auroc


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
    monkeypatch.setattr("cxr.evaluate.bootstrap.CELLS", 350)
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


@pytest.mark.slow
@pytest.mark.parametrize("figure", ["auroc", "recall", "brier"])
def test_a_95_percent_interval_covers_the_truth_in_93_to_97_percent_of_simulations(figure: str):
    """Binormal scores, 100 patients a class with two films each that share part of their noise."""
    random = np.random.default_rng(7)
    simulations, patients, shift = 500, 200, 1.2
    positive = np.repeat(np.arange(patients) % 2, 2).astype(float)
    names = [f"p{number // 2}" for number in range(2 * patients)]

    def cohort(count: int) -> np.ndarray:
        shared = random.normal(0, 0.7, (count, patients)).repeat(2, axis=1)
        return shift * positive + shared + random.normal(0, np.sqrt(1 - 0.49), (count, 2 * patients))

    def measure(score: np.ndarray):
        called = (score > shift / 2).astype(float)
        error = np.square(1 / (1 + np.exp(-(score - shift / 2))) - positive)
        return {
            "auroc": lambda weights: {"auroc": weighted_auroc(positive, score, weights)},
            "recall": lambda weights: decision_figures(positive, called, weights),
            "brier": lambda weights: {"brier": weights @ error / weights.sum(axis=1)},
        }[figure]

    ones = np.ones((1, 2 * patients))
    truth = np.mean([measure(score)(ones)[figure][0] for score in cohort(4000)])
    covered = 0
    for score in cohort(simulations):
        low, high = percentile_interval(resampled(measure(score), names, 1000, seed=0)[figure])
        covered += low <= truth <= high
    assert 0.93 <= covered / simulations <= 0.97
