"""Metrics of cross-fitted predictions: weights that hide acquisition, out-of-fold fits, views and comparisons."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cxr.acquisition.score import ovr_auroc
from cxr.core.errors import CxrError
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.robustness import acquisition_of
from cxr.report.crossfit_table import (
    compared_points,
    compared_views,
    effective_films,
    film_weights,
    out_of_fold,
    read_crossfit,
    runs_of,
    views_of,
)
from cxr.report.crossfit_text import crossfit_text
from tests.evaluate.conftest import BINARY, THREE, predictions
from tests.settings import section

SECTION = section(EvaluateSection, resamples=200)


def crossfitted(films: int = 600, of_acquisition: float = 0.0, recipe: str = "default", seed: int = 13) -> pd.DataFrame:
    """Two films per patient in five folds; acquisition predicts most labels, and the network follows it in part."""
    table = predictions(films=films, seed=seed, splits=("val",)).drop(columns=["split", "view"])
    random, sign = np.random.default_rng(1), np.where(table["label"] == "pneumonia", 1, -1)
    table["acquisition_logit"] = random.normal(1.5 * sign, 1.5).round(4)
    table["logit"] += of_acquisition * table["acquisition_logit"]
    patient = table["patient_id"].str.removeprefix("val-p").astype(int)
    return table.assign(recipe=recipe, seed=seed, fold=patient // 2 % 5)


def test_with_the_weights_acquisition_predicts_no_label_and_the_classes_count_alike() -> None:
    films = crossfitted()
    label, logits = acquisition_of(films, BINARY)
    weights = film_weights(films, BINARY)
    assert ovr_auroc(label, logits) > 0.85
    assert ovr_auroc(label, logits, weights) == pytest.approx(0.5, abs=1e-3)
    assert weights[label == 0].sum() == pytest.approx(weights[label == 1].sum())
    assert 2 < effective_films(weights) < len(films) / 2


def test_acquisition_that_predicts_every_label_cannot_be_hidden() -> None:
    films = crossfitted()
    films["acquisition_logit"] = np.where(films["label"] == "pneumonia", 3.0, -3.0)
    with pytest.raises(CxrError, match="no weights hide acquisition"):
        film_weights(films, BINARY)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_operating_point_of_a_fold_does_not_depend_on_its_own_films(weighted: bool) -> None:
    films = crossfitted()
    other = films.copy()
    other.loc[other["fold"] == 2, "logit"] *= -7
    before, after = (out_of_fold(one, BINARY, "youden", weighted) for one in (films, other))
    own = (films["fold"] == 2).to_numpy()
    assert np.array_equal(before[1][own], after[1][own])
    assert not np.array_equal(before[1][~own], after[1][~own])
    assert after[0].loc[own, "logit"].to_numpy() == pytest.approx(-7 * before[0].loc[own, "logit"], abs=1e-5)


def test_temperatures_are_fitted_out_of_fold_for_three_classes() -> None:
    table = predictions(classes=THREE, splits=("val",)).assign(recipe="default", seed=1)
    table["fold"] = np.arange(len(table)) // 2 % 5
    fitted, thresholds = out_of_fold(table, THREE, "fixed", weighted=False)
    ratio = table["logit_viral"] / fitted["logit_viral"]
    assert ratio.groupby(table["fold"]).std().max() < 1e-3
    assert ratio.std() > 1e-3
    assert set(thresholds) == {0.5}


def test_a_network_that_follows_acquisition_is_worse_on_the_bias_conflicting_view_only() -> None:
    table = pd.concat([crossfitted(), crossfitted(of_acquisition=1.5, recipe="fallen")])
    text = crossfit_text(table, BINARY, SECTION)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    auroc = {(row[0], row[2]): float(row[5].split()[0]) for row in rows if row[2] in ("all", "bias-conflicting")}
    assert auroc["fallen", "all"] > auroc["default", "all"]
    assert auroc["fallen", "bias-conflicting"] < auroc["default", "bias-conflicting"]
    gap = next(row for row in rows if row[:3] == ["fallen − default", "bias-conflicting", "AUROC"])
    low, high = (float(end) for end in gap[5].partition("[")[2].rstrip("]").split(", "))
    assert low < float(gap[5].split()[0]) < high < 0
    assert gap[6] == "one seed: no verdict"


def test_recipes_are_compared_on_the_films_that_both_have_scored() -> None:
    some = crossfitted(recipe="other")
    some = some[some["fold"] < 3]
    table = pd.concat([crossfitted(), some])
    found = compared_views(runs_of(table, BINARY)["default"], runs_of(table, BINARY)["other"], SECTION)
    assert found["all"].films == len(some)
    view = views_of(runs_of(some, BINARY)["other"][0])["bias-conflicting"]
    assert found["bias-conflicting"].films == len(view) > 0


def test_one_fold_alone_has_no_operating_point() -> None:
    films = crossfitted()
    with pytest.raises(CxrError, match="of one fold only"):
        out_of_fold(films[films["fold"] == 1], BINARY, "fixed", weighted=False)


def test_several_seeds_have_a_mean_and_training_noise() -> None:
    parts = [crossfitted(recipe=name, seed=seed) for name in ("default", "other") for seed in (13, 14)]
    table = pd.concat(parts)
    table.loc[table["recipe"] == "other", "logit"] *= 2
    text = crossfit_text(table, BINARY, SECTION)
    assert "| default | 2 | all | 600 | 300 | 0." in text
    assert " ± " in text
    assert "no difference shown" in text


def test_the_weighted_operating_point_helps_a_network_that_follows_acquisition() -> None:
    found = compared_points(crossfitted(of_acquisition=0.6), BINARY, SECTION)
    first, second, low, high = found["ece"]
    assert second < first
    assert low <= second - first <= high


def test_without_bias_conflicting_films_the_view_is_empty_and_says_so() -> None:
    films = crossfitted()
    films["acquisition_logit"] = np.where(films["label"] == "pneumonia", 3.0, -3.0)
    assert views_of(runs_of(films, BINARY)["default"][0])["bias-conflicting"].empty
    assert "| default | 1 | bias-conflicting | 0 | 0 | – | – | – | – |" in crossfit_text(films, BINARY, SECTION)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fold": [0, 1] * 300}, "patient val-p0 is in two folds"),
        ({"image_id": "same"}, "film same appears twice"),
    ],
)
def test_a_table_whose_folds_are_not_apart_is_rejected(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    crossfitted().assign(**change).to_csv(tmp_path / "crossfit.csv", index=False)
    with pytest.raises(CxrError, match=reason):
        read_crossfit(tmp_path / "crossfit.csv")


def test_a_table_without_folds_or_without_a_file_names_the_remedy(tmp_path: Path) -> None:
    crossfitted().drop(columns="fold").to_csv(tmp_path / "crossfit.csv", index=False)
    with pytest.raises(CxrError, match="no column 'fold'; run `python -m cxr crossfit` again"):
        read_crossfit(tmp_path / "crossfit.csv")
    with pytest.raises(CxrError, match="no cross-fitted predictions; run `python -m cxr crossfit` first"):
        read_crossfit(tmp_path / "absent.csv")
