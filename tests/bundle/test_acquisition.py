import numpy as np
import pytest

from cxr.bundle.acquisition import STATISTICS, acquisition, quantiles


def statistics(
    grey: np.ndarray, mask: np.ndarray | None = None, size: tuple[int, int] = (300, 200)
) -> dict[str, float]:
    image = np.dstack([grey, grey, grey, np.zeros_like(grey) if mask is None else mask])
    return dict(zip(STATISTICS, acquisition(image, size), strict=True))


def test_a_film_is_measured_in_the_units_that_are_promised() -> None:
    grey, mask = np.full((64, 64), 100, np.uint8), np.zeros((64, 64), np.uint8)
    grey[:, :16], mask[:32] = 0, 255
    found = statistics(grey, mask)
    assert (found["width"], found["height"], found["aspect"]) == (300, 200, 1.5)
    assert (found["black"], found["lungs"], found["mean"]) == (0.25, 0.5, 75)
    assert found["contrast"] == pytest.approx(43.3, abs=0.1)


def test_a_blurred_film_is_less_sharp() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    soft = ((grey.astype(int) + np.roll(grey, 1, 0) + np.roll(grey, 1, 1)) // 3).astype(np.uint8)
    assert statistics(soft)["sharpness"] < statistics(grey)["sharpness"]


def test_quantiles_span_each_statistic() -> None:
    table = quantiles([np.arange(8.0) + step for step in range(11)])
    assert table.shape == (101, 8)
    assert (table[0, 2], table[50, 2], table[100, 2]) == (2, 7, 12)
