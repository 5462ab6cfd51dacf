import numpy as np
import pytest

from segmenter.surplus import surplus


def test_each_surplus_pixel_is_counted_once_in_its_place() -> None:
    reference = np.zeros((20, 20), np.uint8)
    reference[5:15, 2:7] = reference[5:15, 12:17] = 255
    found = reference.copy()
    found[6:8, 8:10] = 255  # 4 between
    found[16:18, 3:6] = 255  # 6 below the right lung
    found[2, 4] = found[6, 18] = 255  # above, and outside of the left lung
    counts = surplus(found, reference)
    assert (counts["between"], counts["below"], counts["elsewhere"], counts["found"]) == (4, 6, 2, 112)
    assert counts["dice"] == pytest.approx(200 / 212)
    assert counts["dice_without"] == pytest.approx(200 / 208)
