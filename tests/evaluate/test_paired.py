import numpy as np
import pytest

from cxr.core.errors import CxrError
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.paired import Difference, compare
from tests.evaluate.conftest import BINARY, THREE, operating_point, predictions
from tests.settings import section

SECTION = section(EvaluateSection, resamples=500)


def _noisy(noise: float, classes: tuple[str, ...] = BINARY):
    table = predictions(films=400, classes=classes)
    random = np.random.default_rng(9)
    for name in [name for name in table.columns if name.startswith("logit")]:
        table[name] += random.normal(0, noise, len(table))
    return table


def test_a_clearly_worse_classifier_is_told_apart():
    found = compare(_noisy(0), operating_point(), _noisy(4), operating_point(), "test", SECTION)
    auroc = found.differences[0]
    assert auroc.name == "auroc"
    assert auroc.verdict == "worse"
    assert found.delong.p_value < 0.001
    brier = next(one for one in found.differences if one.name == "brier")
    assert brier.b > brier.a
    assert brier.verdict == "worse"


def test_one_patient_gives_no_verdict_and_says_why():
    tables = [_noisy(noise).assign(patient_id="p0") for noise in (0, 4)]
    auroc = compare(tables[0], operating_point(), tables[1], operating_point(), "test", SECTION).differences[0]
    assert (auroc.verdict, auroc.low) == ("not distinguishable", pytest.approx(np.nan, nan_ok=True))
    assert auroc.no_interval == "the difference does not vary between resamples of the patients"


def test_noise_is_not_taken_for_progress():
    found = compare(_noisy(0), operating_point(), _noisy(0.02), operating_point(), "test", SECTION)
    assert found.differences[0].verdict == "not distinguishable"


def test_the_paired_interval_is_narrower_than_two_separate_ones():
    found = compare(_noisy(0), operating_point(), _noisy(0.3), operating_point(), "test", SECTION)
    auroc = found.differences[0]
    alone = found.delong.standard_error * 4
    assert auroc.high - auroc.low == pytest.approx(alone, rel=0.3)
    assert auroc.high - auroc.low < 0.03


def test_three_classes_are_compared_by_their_macro_figures():
    point = operating_point(THREE)
    found = compare(_noisy(0, THREE), point, _noisy(3, THREE), point, "test", SECTION)
    assert (found.differences[0].name, found.differences[0].verdict) == ("macro_auroc", "worse")
    assert found.delong is None


def test_only_films_of_both_are_compared_and_the_rest_is_counted():
    a, b = _noisy(0), _noisy(0.1)
    found = compare(a.iloc[:-10], operating_point(), b.iloc[::-1], operating_point(), "test", SECTION)
    assert (found.films, found.only_a, found.only_b) == (390, 0, 10)


def test_another_label_of_a_film_is_refused():
    b = _noisy(0)
    b.loc[b["image_id"] == "test0003", "label"] = "normal"
    with pytest.raises(CxrError, match="film test0003 has another label in each; 1 films differ"):
        compare(_noisy(0), operating_point(), b, operating_point(), "test", SECTION)


def test_nothing_in_common_is_refused():
    with pytest.raises(CxrError, match="no film of split 'test' was scored by both"):
        compare(_noisy(0), operating_point(), predictions(splits=("val",)), operating_point(), "test", SECTION)
    with pytest.raises(CxrError, match="classes differ"):
        compare(_noisy(0), operating_point(), _noisy(0, THREE), operating_point(THREE), "test", SECTION)


def test_a_verdict_needs_an_interval_on_one_side_of_zero():
    assert Difference("auroc", 0.900, 0.912, -0.003, 0.027).verdict == "not distinguishable"
    assert Difference("auroc", 0.9, 0.95, 0.03, 0.07).verdict == "better"
    assert Difference("log_loss", 0.9, 0.95, 0.03, 0.07).verdict == "worse"
    assert Difference("auroc", 0.9, 0.95, float("nan"), float("nan")).verdict == "not distinguishable"
