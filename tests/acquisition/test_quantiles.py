import numpy as np

from cxr.acquisition.statistics import STATISTICS, acquisition_statistics, quantiles, with_size
from tests.conftest import phantom


def test_size_and_aspect_come_before_the_grey_statistics() -> None:
    film = phantom(0, 300, 200)[0]
    found = dict(zip(STATISTICS, with_size((300, 200), acquisition_statistics(film)), strict=True))
    assert (found["width"], found["height"], found["aspect"]) == (300, 200, 1.5)
    assert list(found.values())[3:] == list(acquisition_statistics(film))


def test_quantiles_span_each_statistic() -> None:
    table = quantiles([np.arange(8.0) + step for step in range(11)])
    assert table.shape == (101, 8)
    assert (table[0, 2], table[50, 2], table[100, 2]) == (2, 7, 12)
