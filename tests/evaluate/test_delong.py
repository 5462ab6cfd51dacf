"""DeLong's method on the data of DeLong, DeLong & Clarke-Pearson (1988), as printed in the SAS/STAT User's Guide,
PROC LOGISTIC, example "Comparing Receiver Operating Characteristic Curves"."""

import numpy as np
import pytest

from cxr.core.errors import CxrError
from cxr.evaluate.delong import auroc_covariance, delong_difference
from cxr.evaluate.ranking import weighted_auroc

ALBUMIN = "3.0 3.2 3.9 2.8 3.2 0.9 2.5 1.6 3.8 3.7 3.2 3.8 4.1 3.6 4.3 3.6 2.3 4.2 4.0 3.5 3.8 3.0 4.5 3.7 3.1 4.1 4.3 \
4.3 3.2 2.6 3.3 1.7 3.7 3.3 4.2 3.5 2.9 2.1 2.8 4.0 3.3 3.7 3.6"
PROTEIN = "5.8 6.3 6.8 4.8 5.8 4.0 5.7 5.6 5.7 6.7 5.4 6.6 6.6 5.7 7.0 6.7 4.4 7.6 6.6 5.8 6.8 4.7 7.4 7.4 6.6 8.2 7.0 \
6.5 5.1 4.7 6.8 4.0 6.1 6.3 7.7 6.2 5.7 4.8 6.2 7.0 5.7 6.9 6.6"
KG = "10 5 3 6 3 5 8 5 5 6 4 6 5 5 4 4 6 4 6 6 7 8 5 5 6 6 5 4 5 6 6 7 5 7 6 5 9 7 8 7 6 5 5"
SURGERY_HELPED = "0110100111111110100110111111110011110101111"


def _columns():
    albumin, protein, kg = (np.array(text.split(), dtype=float) for text in (ALBUMIN, PROTEIN, KG))
    return np.array([float(digit) for digit in SURGERY_HELPED]), albumin, protein, 10 - kg


def test_areas_and_standard_errors_are_those_published():
    surgery, albumin, protein, kg = _columns()
    auroc, covariance = auroc_covariance(surgery, np.stack([albumin, kg, protein]))
    assert auroc == pytest.approx([0.7366, 0.7258, 0.6478], abs=5e-5)
    assert np.sqrt(np.diag(covariance)) == pytest.approx([0.0927, 0.1028, 0.1000], abs=5e-5)


def test_paired_differences_are_those_published():
    surgery, albumin, protein, kg = _columns()
    found = delong_difference(surgery, kg, albumin)
    assert (found.difference, found.standard_error) == pytest.approx((0.0108, 0.0953), abs=5e-5)
    assert (found.low, found.high, found.p_value) == pytest.approx((-0.1761, 0.1976, 0.9102), abs=5e-5)
    found = delong_difference(surgery, kg, protein)
    assert (found.difference, found.standard_error) == pytest.approx((-0.0780, 0.1046), abs=5e-5)
    assert (found.low, found.high, found.p_value) == pytest.approx((-0.2830, 0.1271, 0.4561), abs=5e-5)


def test_area_agrees_with_the_ranking_used_elsewhere():
    surgery, albumin, _, kg = _columns()
    auroc, _ = auroc_covariance(surgery, np.stack([albumin, kg]))
    again = [weighted_auroc(surgery, score, np.ones((1, len(surgery))))[0] for score in (albumin, kg)]
    assert auroc == pytest.approx(again, abs=1e-12)


def test_equal_scores_do_not_differ():
    surgery, albumin, _, _ = _columns()
    found = delong_difference(surgery, albumin, albumin)
    assert (found.difference, found.p_value) == (0.0, 1.0)


def test_one_class_is_refused():
    with pytest.raises(CxrError, match="two films of each class; got 3 positive and 0 negative"):
        auroc_covariance(np.ones(3), np.arange(3.0)[None])
