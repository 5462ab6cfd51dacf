"""The model that MLflow loads: `mlflow.pyfunc.load_model(uri).predict(["film.dcm"])` over the predictor.

MLflow imports this module from the code logged with the model and calls `_load_pyfunc`. Nothing is pickled.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cxr.core.errors import CxrError
from cxr.predict.batch import outcomes
from cxr.predict.inputs import NamedFilm, find_films
from cxr.predict.prediction import Row, answered, columns, rejected
from cxr.predict.predictor import Predictor

TEXTS = ("film", "decision", "reliable", "flags", "reasons", "rejected", "film_hash", "bundle")
COUNTS = ("width", "height")


class FilmModel:
    """A predictor with the interface of MLflow's pyfunc."""

    def __init__(self, predictor: Predictor) -> None:
        self.predictor = predictor

    def predict(self, films: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The rows of `python -m cxr predict` for films, folders and s3:// addresses in the first column.

        A name without a film becomes a row with the reason, like any rejected film.
        """
        classes = self.predictor.config.classes
        rows = film_rows(self.predictor, [str(name) for name in films.iloc[:, 0]])
        table = pd.DataFrame(rows, columns=columns(classes), dtype=object)
        numbers = [name for name in columns(classes) if name not in TEXTS]
        table[numbers] = table[numbers].replace({"": None})  # as JSON: null
        return table


def film_rows(predictor: Predictor, names: Sequence[str]) -> list[Row]:
    """One row per film, in the order of the names; each film once."""
    classes, bundle = predictor.config.classes, predictor.version
    found: dict[str, NamedFilm | None] = {}
    rows: dict[str, Row] = {}
    for name in names:
        try:
            found |= {film.address: film for film in find_films([name])}
        except CxrError as error:
            found[name], rows[name] = None, rejected(name, str(error), classes, bundle)
    films = [film for film in found.values() if film]
    for one in outcomes(predictor, films, os.cpu_count() or 1):
        address, answer = one.film.address, one.answer
        if isinstance(answer, str):
            rows[address] = rejected(address, answer, classes, bundle)
        else:
            rows[address] = answered(answer, classes, bundle)
    return [rows[name] for name in found if name in rows]


def _load_pyfunc(folder: str) -> FilmModel:
    return FilmModel(Predictor.load(Path(folder)))
