"""The rows of the model that MLflow loads."""

from pathlib import Path

import pandas as pd
import pytest

from cxr.__main__ import main
from cxr.predict.predictor import Predictor
from cxr.publish.model import FilmModel
from tests.bundles import Project


@pytest.fixture
def model(project: Project) -> FilmModel:
    return FilmModel(Predictor.load(project.bundle))


def test_the_rows_are_those_of_predict_to_the_last_digit(
    project: Project, model: FilmModel, films: list[str], tmp_path: Path
) -> None:
    table = model.predict(pd.DataFrame({"film": films}))
    main(["predict", *films, "--bundle", str(project.bundle), "--out", str(tmp_path / "predictions.csv")])
    assert table.to_csv(index=False, lineterminator="\n") == (tmp_path / "predictions.csv").read_text(encoding="utf-8")
    assert table["rejected"].astype(bool).tolist() == [False, False, True]


def test_a_folder_gives_one_row_per_film_and_a_name_without_a_film_a_reason(
    project: Project, model: FilmModel, films: list[str]
) -> None:
    folder = str(Path(films[0]).parent)
    table = model.predict(pd.DataFrame([films[0], "no/such.dcm", folder]))
    assert table["film"].tolist()[:2] == [films[0], "no/such.dcm"]
    assert len(table) == 1 + len(list(Path(folder).iterdir()))  # each film once
    assert table["rejected"].tolist()[1].startswith("no film; give a film")
    assert table["probability"].tolist()[1] is None
