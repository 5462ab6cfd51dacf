"""metrics.json: what it says, and what it says where a figure cannot be had."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from cxr.core.errors import CxrError
from cxr.evaluate.blocks import metrics_document, subgroups_document
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.document import conclude
from cxr.evaluate.predictions import (
    BASELINE,
    KEPT,
    REMOVED,
    check_operating_point,
    parse_predictions,
    score_columns,
)
from tests.evaluate.conftest import BINARY, THREE, operating_point, predictions
from tests.settings import section

SECTION = section(EvaluateSection, resamples=200, subgroups=("view", "cause"))


def _leaves(block: dict, path: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in block.items():
        found |= _leaves(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found


@pytest.mark.parametrize("classes", [BINARY, THREE])
def test_the_figures_of_test_are_those_of_scikit_learn_at_the_operating_point(classes: tuple[str, ...]):
    found = conclude(predictions(classes=classes), "f", classes, SECTION, "here")
    test = found.table[found.table["split"] == "test"]
    block = found.metrics["test"]
    assert block["accuracy"] == pytest.approx(sk.accuracy_score(test["label"], test["decision"]), abs=1e-5)
    assert block["mcc"] == pytest.approx(sk.matthews_corrcoef(test["label"], test["decision"]), abs=1e-5)
    if classes == BINARY:
        assert block["auroc"] == pytest.approx(sk.roc_auc_score(test["label"], test["logit"]), abs=1e-5)
        assert block["at_half"]["accuracy"] == pytest.approx(
            sk.accuracy_score(test["label"] == "pneumonia", test["logit"] > 0), abs=1e-5
        )
    else:
        counts = sk.confusion_matrix(test["label"], test["decision"], labels=THREE)
        assert block["counts"]["normal"]["viral"] == counts[1, 2]


@pytest.mark.parametrize("classes", [BINARY, THREE])
def test_every_value_is_a_scalar_so_that_dvc_shows_it_and_every_null_has_a_reason(classes: tuple[str, ...]):
    table = predictions(classes=classes)
    for score in (REMOVED, KEPT, BASELINE):
        for column, logit in zip(score_columns(score, classes), score_columns("logit", classes), strict=True):
            table[column] = table[logit]
    table["lung_share"] = 0.5
    table.loc[table["split"] == "test", "label"] = classes[0]
    document = metrics_document(table, operating_point(classes), SECTION)
    leaves = _leaves(document)
    json.dumps(document, allow_nan=False)
    assert any(value is None for value in leaves.values())
    for name, value in leaves.items():
        assert value is None or isinstance(value, (int, float, str)), name
        if value is None:
            stem = name.removesuffix("_low").removesuffix("_high")
            assert f"{stem}_reason" in leaves or f"{stem}_interval_reason" in leaves, name


def test_an_interval_holds_its_figure():
    block = metrics_document(predictions(), operating_point(), SECTION)["test"]
    for name in ("auroc", "auprc", "accuracy", "recall", "specificity", "f1", "brier", "log_loss"):
        assert block[f"{name}_low"] < block[name] < block[f"{name}_high"]


def test_without_a_test_set_the_block_says_so_and_validation_is_reported():
    document = metrics_document(predictions(splits=("val",)), operating_point(), SECTION)
    assert document["test"] == {"films": 0, "reason": "the cohort has no film in this split"}
    assert document["reported_split"] == "validation"
    assert document["validation"]["auroc"] > 0.8


def test_a_test_set_of_one_class_has_no_area_and_keeps_its_specificity():
    table = predictions()
    table = table[(table["split"] == "val") | (table["label"] == "normal")]
    block = metrics_document(table, operating_point(), SECTION)["test"]
    assert (block["auroc"], block["auroc_reason"]) == (None, "no film of the positive class")
    assert block["specificity"] > 0.5


def test_a_perfect_proportion_gets_an_exact_interval_over_patients():
    table = predictions(films=40)
    table["logit"] = np.where(table["label"] == "pneumonia", 2.0, -2.0)
    block = metrics_document(table, operating_point(), SECTION)["test"]
    assert (block["recall"], block["recall_high"]) == (1.0, 1.0)
    assert block["recall_low"] == pytest.approx(0.025 ** (1 / 10), abs=1e-5)  # ten ill patients
    assert (block["auroc_low"], block["auroc_interval_reason"]) == (
        None,
        "the figure does not vary between resamples of the patients",
    )


def test_the_exact_interval_of_precision_counts_the_patients_who_were_called():
    table = predictions(films=40)
    test = table["split"] == "test"
    table.loc[test, "patient_id"] = [f"p{number // 4}" for number in range(40)]
    table.loc[test, "label"] = ["pneumonia" if number < 12 else "normal" for number in range(40)]  # three patients
    table.loc[test, "logit"] = np.where(table.loc[test, "label"] == "pneumonia", 2.0, -2.0)
    block = metrics_document(table, operating_point(), SECTION)["test"]
    assert (block["precision"], block["npv"]) == (1.0, 1.0)
    assert block["precision_low"] == pytest.approx(0.025 ** (1 / 3), abs=1e-5)
    assert block["npv_low"] == pytest.approx(0.025 ** (1 / 7), abs=1e-5)


def test_films_without_an_outline_of_lungs_are_left_out_of_the_shortcut_checks_and_counted():
    table = predictions()
    table[REMOVED] = table[KEPT] = table["logit"]
    gave_up = table.index[table["split"] == "test"][:6]
    table.loc[gave_up, [REMOVED, KEPT]] = np.nan
    shortcuts = metrics_document(table, operating_point(), SECTION)["shortcuts"]
    films = table[table["split"] == "test"].drop(index=gave_up)
    assert shortcuts["auroc_lungs_only"] == pytest.approx(sk.roc_auc_score(films["label"], films["logit"]), abs=1e-5)
    assert (shortcuts["auroc_lungs_only_missing"], shortcuts["auroc_lungs_removed_missing"]) == (6, 6)
    assert "auroc_missing" not in shortcuts


def test_an_operating_point_of_another_classifier_is_found_by_its_decisions():
    found = conclude(predictions(), "f", BINARY, SECTION, "here")
    check_operating_point(found.table, found.point, "here")
    for other in (replace(found.point, threshold=0.9), replace(found.point, temperature=1.5)):
        with pytest.raises(CxrError, match=r"here: \d+ films \(first: \w+\) were not decided by the operating point"):
            check_operating_point(found.table, other, "here")


def test_subgroups_are_the_films_of_each_value():
    table = predictions()
    test = table[table["split"] == "test"]
    found = subgroups_document(table, operating_point(), SECTION)
    ap = test[test["view"] == "AP"]
    assert found["view"]["AP"]["films"] == len(ap)
    assert found["view"]["AP"]["auroc"] == pytest.approx(sk.roc_auc_score(ap["label"], ap["logit"]), abs=1e-5)
    assert found["cause"] == {"reason": "the cohort has no column 'cause'"}


def test_a_column_of_many_values_is_not_spread_out():
    table = predictions()
    table["cause"] = [str(number) for number in range(len(table))]
    assert "120 values; at most 20" in subgroups_document(table, operating_point(), SECTION)["cause"]["reason"]


def test_shortcut_checks_and_baseline_are_measured_on_the_same_films():
    table = predictions()
    test = table["split"] == "test"
    for score, noise in ((REMOVED, 5.0), (KEPT, 0.1), (BASELINE, 2.0)):
        noisy = table["logit"] + np.random.default_rng(1).normal(0, noise, len(table))
        table[score] = noisy.where(test)
    table["lung_share"] = np.where(table["label"] == "pneumonia", 0.8, 0.6)
    document = metrics_document(table, operating_point(), SECTION)
    films = table[test]
    shortcuts = document["shortcuts"]
    assert shortcuts["auroc_lungs_removed"] == pytest.approx(sk.roc_auc_score(films["label"], films[REMOVED]), abs=1e-5)
    assert shortcuts["auroc_lungs_removed"] < shortcuts["auroc_lungs_only"]
    assert shortcuts["lung_share_pneumonia"] == 0.8
    assert shortcuts["lung_share"] == pytest.approx(0.7)
    baselines = document["baselines"]
    assert baselines["all_positive"]["accuracy"] == 0.5
    assert baselines["all_positive"]["f1"] == pytest.approx(2 / 3, abs=1e-5)
    gain = sk.roc_auc_score(films["label"], films["logit"]) - sk.roc_auc_score(films["label"], films[BASELINE])
    assert baselines["hog_logistic"]["gain"] == pytest.approx(gain, abs=1e-5)


def test_the_table_read_back_gives_the_same_bytes_of_metrics():
    first = conclude(predictions(), "f", BINARY, SECTION, "here")
    text = first.table.to_csv(index=False)
    second = conclude(parse_predictions(text, "here"), "f", BINARY, SECTION, "here")
    assert json.dumps(second.metrics) == json.dumps(first.metrics)
    assert second.table.to_csv(index=False) == text


def test_the_operating_point_never_sees_test_films():
    table = predictions()
    changed = table.copy()
    changed.loc[changed["split"] == "test", "logit"] *= -3
    points = [conclude(one, "f", BINARY, SECTION, "here").point for one in (table, changed)]
    assert points[0] == points[1]


def test_a_logit_that_is_no_number_stops_evaluation_and_names_the_film():
    table = predictions()
    table.loc[5, "logit"] = np.nan
    with pytest.raises(CxrError, match=r"no finite logit for 1 of 240 films \(first: val0005\)"):
        conclude(table, "f", BINARY, SECTION, "models/classifier.ckpt")


def test_a_film_that_appears_twice_is_refused():
    table = predictions()
    table.loc[1, "image_id"] = table.loc[0, "image_id"]
    with pytest.raises(CxrError, match="film val0000 appears twice"):
        conclude(table, "f", BINARY, SECTION, "here")


def test_a_label_that_is_no_class_is_refused():
    table = parse_predictions(predictions().replace({"label": {"normal": "NORMAL"}}).to_csv(index=False), "here")
    with pytest.raises(CxrError, match="label 'NORMAL' is none of the classifier's classes normal, pneumonia"):
        conclude(table, "f", BINARY, SECTION, "here")


def test_ids_that_look_like_numbers_stay_text():
    table = predictions(films=4)
    table["patient_id"] = "007"
    assert set(parse_predictions(table.to_csv(index=False), "here")["patient_id"]) == {"007"}
