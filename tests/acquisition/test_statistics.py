import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from cxr.acquisition.statistics import GREY_STATISTICS, acquisition_statistics
from cxr.acquisition.table import read_acquisition, write_acquisition
from cxr.core.errors import CxrError
from tests.conftest import phantom


def of(film: np.ndarray) -> dict[str, float]:
    return dict(zip(GREY_STATISTICS, acquisition_statistics(film), strict=True))


def test_a_blurred_film_is_less_sharp_and_compresses_better() -> None:
    film = phantom()[0]
    plain, blurred = of(film), of(cv2.GaussianBlur(film, (0, 0), 2))
    for name in ("sharpness", "gradient", "fine_detail", "compressed"):
        assert blurred[name] < plain[name]


def test_a_brighter_film_has_higher_levels_and_a_black_border_a_darker_rim() -> None:
    film = phantom()[0]
    assert of(film // 2 + 100)["percentile_5"] > of(film)["percentile_5"]
    bordered = cv2.copyMakeBorder(film, 20, 20, 20, 20, cv2.BORDER_CONSTANT, value=0)
    assert of(bordered)["rim"] < of(film)["rim"]
    assert of(bordered)["black"] > 0.1


def test_the_size_of_a_film_matters_little() -> None:
    small, large = (of(cv2.resize(phantom()[0], (320 * scale, 256 * scale))) for scale in (1, 2))
    assert small["mean"] == pytest.approx(large["mean"], abs=1)
    assert small["percentile_95"] == pytest.approx(large["percentile_95"], abs=3)


def test_the_table_survives_writing_and_reading(tmp_path: Path) -> None:
    values = acquisition_statistics(phantom()[0])
    write_acquisition(tmp_path / "a.csv", [("007", values), ("b", values + 1)])
    table = read_acquisition(tmp_path / "a.csv")
    assert table.index.tolist() == ["007", "b"]
    assert np.array_equal(table.loc["007"].to_numpy(), values)


def test_a_missing_table_and_a_missing_column_are_errors(tmp_path: Path) -> None:
    with pytest.raises(CxrError, match="run `dvc repro ingest` first"):
        read_acquisition(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("image_id,sharpness\n")
    with pytest.raises(CxrError, match=re.escape("column 'gradient' is missing")):
        read_acquisition(tmp_path / "a.csv")
