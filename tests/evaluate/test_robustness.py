"""Metrics of the views of the validation films."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxr.core.errors import CxrError
from cxr.evaluate.baselines import acquisition_logits
from cxr.evaluate.robustness import bias_conflicting_films, shift_details
from cxr.evaluate.table import ACQUISITION, put_decisions
from cxr.npz.films import NpzRow
from tests.evaluate.conftest import BINARY, THREE, operating_point, predictions

VIEWS = ("val", "test", "corrupted", "swapped")


def with_acquisition(table: pd.DataFrame) -> pd.DataFrame:
    """Acquisition logits that predict the label of most validation films."""
    random = np.random.default_rng(3)
    ill = (table["label"] == "pneumonia").to_numpy()
    table[ACQUISITION] = np.where(table["split"] == "val", random.normal(2.0 * ill - 1, 1), np.nan)
    return table


def rows(label: list[str]) -> list[NpzRow]:
    return [NpzRow(f"f{k}.npz", f"f{k}", f"p{k}", "train", name, BINARY, "0") for k, name in enumerate(label)]


def test_a_classifier_of_acquisition_is_worse_on_swapped_and_bias_conflicting_films_only() -> None:
    table = with_acquisition(predictions(splits=VIEWS))
    honest = shift_details(put_decisions(table, operating_point()), operating_point())
    shortcut = table.copy()
    val, swapped = shortcut["split"] == "val", shortcut["split"] == "swapped"
    shortcut.loc[val, "logit"] = shortcut.loc[val, ACQUISITION]
    shortcut.loc[swapped, "logit"] = -shortcut.loc[swapped, "logit"]
    fallen = shift_details(put_decisions(shortcut, operating_point()), operating_point())
    assert fallen["validation"]["auroc"] > 0.85
    assert fallen["swapped"]["auroc"] < 0.2
    assert fallen["bias_conflicting"]["auroc"] < 0.5 < honest["bias_conflicting"]["auroc"]
    assert abs(honest["validation"]["auroc"] - honest["swapped"]["auroc"]) < 0.1


def test_bias_conflicting_films_are_the_same_share_of_each_class_and_acquisition_does_not_predict_their_label() -> None:
    table = with_acquisition(predictions(films=120, splits=("val",)))
    found = bias_conflicting_films(table, BINARY)
    counts = found["label"].value_counts()
    assert counts["normal"] == counts["pneumonia"]
    assert 10 <= counts["normal"] <= 20
    assert roc_auc_score(found["label"] == "pneumonia", found[ACQUISITION]) <= 0.5
    left = table[(table["label"] == "normal") & ~table["image_id"].isin(found["image_id"])]
    assert found.loc[found["label"] == "normal", ACQUISITION].min() >= left[ACQUISITION].max()


def test_a_classifier_of_acquisition_is_worse_on_bias_conflicting_films_of_three_classes() -> None:
    table, random = predictions(classes=THREE, splits=VIEWS), np.random.default_rng(3)
    for name in THREE:
        told = random.normal(2.0 * (table["label"] == name) - 1, 1)
        table[f"{ACQUISITION}_{name}"] = np.where(table["split"] == "val", told, np.nan)
    honest = shift_details(put_decisions(table, operating_point(THREE)), operating_point(THREE))
    for name in THREE:
        table.loc[table["split"] == "val", f"logit_{name}"] = table[f"{ACQUISITION}_{name}"]
    fallen = shift_details(put_decisions(table, operating_point(THREE)), operating_point(THREE))
    assert fallen["validation"]["macro_auroc"] == pytest.approx(fallen["acquisition_auroc"], abs=0.05)
    assert fallen["bias_conflicting"]["macro_auroc"] < 0.6 < honest["bias_conflicting"]["macro_auroc"]
    assert honest["bias_conflicting"]["films"] == fallen["bias_conflicting"]["films"] > 0


def test_without_acquisition_logits_no_film_is_bias_conflicting() -> None:
    table = predictions(splits=VIEWS)
    found = shift_details(put_decisions(table, operating_point()), operating_point())
    assert found["acquisition_auroc"] is None
    assert found["bias_conflicting"]["films"] == 0
    assert found["swapped"]["auroc"] > 0.5


def test_the_acquisition_baseline_scores_films_outside_its_fit() -> None:
    random, label = np.random.default_rng(0), ["normal", "pneumonia"] * 20
    names = [f"f{k}" for k in range(40)] + ["a", "b"]
    values = np.r_[random.normal(size=(40, 3)) + np.array([[0.0], [3.0]] * 20), [[0, 0, 0], [3, 3, 3]]]
    found = acquisition_logits(pd.DataFrame(values, index=names), rows(label), BINARY, ["b", "a"])
    assert found is not None
    assert found[0] > 0 > found[1]


def test_a_film_without_statistics_is_an_error_and_one_class_gives_no_logits() -> None:
    table = pd.DataFrame(np.zeros((2, 3)), index=["f0", "f1"])
    with pytest.raises(CxrError, match="no row of lost"):
        acquisition_logits(table, rows(["normal", "pneumonia"]), BINARY, ["lost"])
    assert acquisition_logits(table, rows(["normal", "normal"]), BINARY, ["f0"]) is None


def test_the_acquisition_baseline_gives_a_logit_per_class_for_three_classes() -> None:
    label = [THREE[k % 3] for k in range(60)]
    values = np.random.default_rng(0).normal(size=(60, 3)) + 3 * np.eye(3)[np.arange(60) % 3]
    names = [f"f{k}" for k in range(60)]
    found = acquisition_logits(pd.DataFrame(values, index=names), rows(label), THREE, names)
    assert found is not None
    assert (found.argmax(axis=1) == np.arange(60) % 3).mean() > 0.9
