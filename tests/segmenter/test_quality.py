import numpy as np
import pandas as pd
import pytest

from segmenter.corrupted import SPOILT
from segmenter.quality import figures, monotone
from tests.conftest import phantom


def test_the_fitted_line_never_falls_and_meets_points_that_rise() -> None:
    knots = np.array([0.0, 0.5, 1.0])
    x = np.linspace(0, 1, 21)
    assert monotone(x, np.interp(x, knots, [0, 0.4, 0.9]), knots) == pytest.approx([0, 0.4, 0.9])
    falling = monotone(x, np.interp(x, knots, [0, 0.9, 0.4]), knots)
    assert falling == sorted(falling)


def test_figures_tell_poor_masks_that_are_flagged_from_good_ones() -> None:
    rows = pd.DataFrame(
        {"dice": [0.96, 0.95, 0.9, 0.6, 0.5], "quality": [0.95, 0.94, 0.8, 0.7, 0.9], "agreed": [None, None, 1, 1, 1]}
    )
    found = figures(rows, 0.85)
    assert {name: found[name] for name in ("masks", "second_looks", "flagged", "poor")} == {
        "masks": 5, "second_looks": 3, "flagged": 2, "poor": 2,
    }  # fmt: skip
    assert (found["poor_and_flagged"], found["good_but_flagged"]) == (1, 1)
    assert "dice" not in figures(rows.assign(dice=float("nan")), 0.85)


@pytest.mark.parametrize("condition", SPOILT)
def test_a_spoilt_film_keeps_its_shape_and_all_of_its_lungs(condition: str) -> None:
    film, mask = phantom(2, 128, 128)
    spoilt, kept = SPOILT[condition](film, mask)
    assert spoilt.shape == kept.shape == film.shape
    assert not np.array_equal(spoilt, film)
    assert (kept > 0).sum() == pytest.approx((mask > 0).sum(), rel=0.02)
