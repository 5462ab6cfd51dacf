import numpy as np
import pandas as pd
import pytest

from cxr.core.errors import CxrError
from cxr.evaluate.config import EvaluateSection
from cxr.report.comparison import (
    Comparison,
    Difference,
    Noise,
    Run,
    TrainingNoise,
    compare,
    noise_of_file,
    noise_of_runs,
)
from tests.evaluate.conftest import BINARY, THREE, operating_point, predictions
from tests.settings import section

QUICK = section(EvaluateSection, resamples=100)
SECTION = section(EvaluateSection, resamples=500)
SMALL = TrainingNoise({name: Noise(0.001, 9) for name in ("auroc", "brier", "accuracy", "macro_auroc")}, "as measured")


def _noisy(noise: float, classes: tuple[str, ...] = BINARY) -> pd.DataFrame:
    table = predictions(films=400, classes=classes)
    random = np.random.default_rng(9)
    for name in [name for name in table.columns if name.startswith("logit")]:
        table[name] += random.normal(0, noise, len(table))
    return table


def _compare(
    a: pd.DataFrame, b: pd.DataFrame, classes: tuple[str, ...] = BINARY, noise: TrainingNoise | None = SMALL
) -> Comparison:
    point = operating_point(classes)
    other = operating_point(classes, classifier="1" * 32)
    return compare([Run(a, point)], [Run(b, other)], "test", SECTION, noise)


def _difference(found: Comparison, name: str) -> Difference:
    return next(one for one in found.differences if one.name == name)


def test_a_clearly_worse_classifier_is_told_apart():
    found = _compare(_noisy(0), _noisy(4))
    assert found.differences[0].name == "auroc"
    assert found.verdict == "worse"
    brier = _difference(found, "brier")
    assert brier.b > brier.a
    assert brier.verdict == "worse"


def test_noise_is_not_taken_for_progress():
    assert _compare(_noisy(0), _noisy(0.02)).verdict == "no difference shown"


def test_without_known_training_noise_there_is_an_interval_and_no_verdict():
    found = _compare(_noisy(0), _noisy(4), noise=None)
    assert found.differences[0].high < 0
    assert {one.verdict for one in found.differences} == {""}
    assert found.verdict == "training noise unknown, so no verdict"


def test_training_noise_widens_the_interval_and_takes_a_verdict_back():
    large = TrainingNoise({"auroc": Noise(0.2, 4)}, "as measured")
    wide, narrow = (_compare(_noisy(0), _noisy(4), noise=noise) for noise in (large, SMALL))
    assert wide.differences[0].low < narrow.differences[0].low
    assert wide.verdict == "no difference shown"


def test_a_figure_without_known_noise_carries_no_verdict():
    found = _compare(_noisy(0), _noisy(4))
    assert _difference(found, "npv").verdict == ""
    assert not np.isnan(_difference(found, "npv").low)


def test_the_same_weights_need_no_training_noise():
    """Only the threshold moved: no seed can have done it."""
    points = [operating_point(threshold=at) for at in (0.5, 0.9)]
    table = predictions(films=400)
    many = section(EvaluateSection, resamples=2000)
    found = compare([Run(table, points[0])], [Run(table, points[1])], "test", many)
    assert found.same_weights
    assert not found.identical
    assert _difference(found, "sensitivity").verdict == "worse"
    assert found.verdict == "no difference shown"


def test_identical_predictions_are_called_so():
    assert _compare(_noisy(0), _noisy(0)).verdict == "identical predictions"


def test_the_other_figures_are_adjusted_for_their_number():
    found = _compare(_noisy(0), _noisy(0.6), noise=TrainingNoise({n: Noise(1e-4, 9) for n in ("auroc", "brier")}, ""))
    alone = _compare(_noisy(0), _noisy(0.6), noise=TrainingNoise({"brier": Noise(1e-4, 9)}, ""))
    many = TrainingNoise({n: Noise(1e-4, 9) for n in ("brier", "accuracy", "sensitivity", "npv", "f1")}, "")
    assert _difference(found, "brier").p == _difference(alone, "brier").p
    assert _difference(_compare(_noisy(0), _noisy(0.6), noise=many), "brier").p > _difference(alone, "brier").p


def test_one_patient_gives_no_verdict_and_says_why():
    tables = [_noisy(noise).assign(patient_id="p0") for noise in (0, 4)]
    auroc = _compare(*tables, noise=None).differences[0]
    assert (auroc.verdict, auroc.low) == ("", pytest.approx(np.nan, nan_ok=True))
    assert auroc.no_interval == "the difference does not vary between resamples of the patients"


def test_three_classes_are_compared_by_their_macro_figures():
    found = _compare(_noisy(0, THREE), _noisy(3, THREE), THREE)
    assert (found.differences[0].name, found.verdict) == ("macro_auroc", "worse")


def test_only_films_of_both_are_compared_and_the_rest_is_counted():
    found = _compare(_noisy(0).iloc[:-10], _noisy(0.1).iloc[::-1])
    assert (found.films, found.only_a, found.only_b) == (390, 0, 10)


def test_another_label_of_a_film_is_refused():
    b = _noisy(0)
    b.loc[b["image_id"] == "test0003", "label"] = "normal"
    with pytest.raises(CxrError, match="label differs for 1 films, such as test0003"):
        _compare(_noisy(0), b)


def test_nothing_in_common_is_refused():
    with pytest.raises(CxrError, match="no common film in split 'test'"):
        _compare(_noisy(0), predictions(splits=("val",)))
    with pytest.raises(CxrError, match="classes differ"):
        compare(
            [Run(_noisy(0), operating_point())], [Run(_noisy(0, THREE), operating_point(THREE))], "test", SECTION, None
        )


def test_a_higher_loss_is_worse():
    assert Difference("auroc", 0.900, 0.912, -0.003, 0.027, 0.2).verdict == "no difference shown"
    assert Difference("auroc", 0.9, 0.95, 0.03, 0.07, 0.001).verdict == "better"
    assert Difference("log_loss", 0.9, 0.95, 0.03, 0.07, 0.001).verdict == "worse"
    assert Difference("auroc", 0.9, 0.95).verdict == ""


def test_the_noise_of_runs_is_pooled_over_the_sides_that_have_several():
    found = noise_of_runs({"auroc": [0.9, 0.92, 0.94]}, {"auroc": [0.8, 0.84]})
    assert found.metrics["auroc"].freedom == 3
    assert found.metrics["auroc"].sd == pytest.approx(np.sqrt((0.0008 + 0.0008) / 3))
    assert noise_of_runs({"auroc": [0.9]}, {"auroc": [0.8]}) is None


def test_the_noise_of_a_file_is_that_of_the_split_asked_for():
    text = '{"figures": {"test.auroc": {"sd": 0.01}, "val.auroc": {"sd": 0.02}}, "seeds": {"1": {}, "2": {}, "3": {}}}'
    assert noise_of_file(text, "val", "main: metrics/seeds.json").metrics == {"auroc": Noise(0.02, 2)}
    with pytest.raises(CxrError, match=r"main: metrics/seeds.json: not readable; run `python -m cxr"):
        noise_of_file('{"figures": 3}', "val", "main: metrics/seeds.json")


# Runs of one recipe differ by the quality that the seed gave them: a shift of what separates the classes.
FILMS, PATIENTS, SD = 120, 60, 0.25
LABEL = (np.arange(FILMS) // 2 % 2).astype(float)
STRENGTH = np.random.default_rng(1).normal(0, 1, FILMS)  # what the films are, the same for every run


def _train(random: np.random.Generator, quality: float) -> Run:
    shift = 1.8 + quality + random.normal(0, SD)
    logits = shift * (LABEL - 0.5) + STRENGTH + random.normal(0, 0.15, FILMS)
    names = np.array(["normal", "pneumonia"])
    table = pd.DataFrame(
        {
            "image_id": [f"f{number:03d}" for number in range(FILMS)],
            "patient_id": [f"p{number // 2}" for number in range(FILMS)],
            "split": "test",
            "label": names[LABEL.astype(int)],
            "logit": logits.round(6),
        }
    )
    return Run(table, operating_point(classifier=f"{random.integers(1 << 40):032x}"))


def _auroc(run: Run) -> float:
    return compare([run], [run], "test", QUICK).differences[0].a


@pytest.fixture(scope="module")
def measured() -> TrainingNoise:
    """What seeds.json would say after eight seeds."""
    random = np.random.default_rng(2)
    return noise_of_runs({"auroc": [_auroc(_train(random, 0)) for _ in range(8)]})


def test_two_runs_that_differ_by_their_seed_alone_are_seldom_called_different(measured: TrainingNoise):
    random = np.random.default_rng(3)
    pairs = [([_train(random, 0)], [_train(random, 0)]) for _ in range(200)]
    called = [compare(a, b, "test", QUICK, measured).verdict != "no difference shown" for a, b in pairs]
    assert np.mean(called) <= 0.05


def test_an_effect_of_two_standard_deviations_is_found_with_several_seeds_a_side(measured: TrainingNoise):
    """Eight seeds a side; one run a side cannot tell it, and does not pretend to."""
    random = np.random.default_rng(4)
    effect = 2 * SD
    found = [
        compare([_train(random, 0) for _ in range(8)], [_train(random, effect) for _ in range(8)], "test", QUICK)
        for _ in range(20)
    ]
    assert np.mean([one.verdict == "better" for one in found]) >= 0.8
