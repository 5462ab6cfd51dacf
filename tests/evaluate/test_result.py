"""metrics.json and its details: what they say, and what they say where a figure cannot be had."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn import metrics as sk

from cxr.core.errors import CxrError
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.results import performance_details
from cxr.evaluate.robustness import check_details
from cxr.evaluate.subgroups import subgroup_details
from cxr.evaluate.table import HOG, LUNGS_MASKED, LUNGS_ONLY, check_operating_point, parse_predictions
from cxr.evaluate.task import task_of
from tests.evaluate.conftest import BINARY, THREE, conclude, operating_point, predictions
from tests.settings import section

SECTION = section(EvaluateSection, resamples=200, subgroups=("view", "cause"))


def _leaves(block: dict, path: str = "") -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in block.items():
        found |= _leaves(value, f"{path}{key}.") if isinstance(value, dict) else {f"{path}{key}": value}
    return found


@pytest.mark.parametrize("classes", [BINARY, THREE])
def test_the_figures_of_test_are_those_of_scikit_learn_at_the_operating_point(classes: tuple[str, ...]):
    found = conclude(predictions(classes=classes), SECTION, classes)
    test = found.table[found.table["split"] == "test"]
    block = found.details["performance"]["test"]
    assert block["accuracy"] == pytest.approx(sk.accuracy_score(test["label"], test["decision"]), abs=1e-5)
    assert block["mcc"] == pytest.approx(sk.matthews_corrcoef(test["label"], test["decision"]), abs=1e-5)
    if classes == BINARY:
        assert block["auroc"] == pytest.approx(sk.roc_auc_score(test["label"], test["logit"]), abs=1e-5)
        assert block["at_threshold_0_5"]["accuracy"] == pytest.approx(
            sk.accuracy_score(test["label"] == "pneumonia", test["logit"] > 0), abs=1e-5
        )
    else:
        counts = sk.confusion_matrix(test["label"], test["decision"], labels=THREE)
        assert block["counts"]["normal"]["viral"] == counts[1, 2]


@pytest.mark.parametrize("classes", [BINARY, THREE])
def test_every_value_is_a_scalar_so_that_dvc_shows_it_and_every_null_has_a_reason(classes: tuple[str, ...]):
    table = predictions(classes=classes)
    for score in (LUNGS_MASKED, LUNGS_ONLY, HOG):
        for column, logit in zip(task_of(classes).columns(score), task_of(classes).columns("logit"), strict=True):
            table[column] = table[logit]
    table["lung_share"], table["lung_area"] = 0.5, 0.3
    table.loc[table["split"] == "test", "label"] = classes[0]
    found = conclude(table, SECTION, classes)
    document = {
        **{name: found.details[name] for name in ("performance", "checks", "subgroups")},
        "metrics": found.metrics,
    }
    leaves = {name: value for name, value in _leaves(document).items() if not name.startswith("metrics.")}
    json.dumps(document, allow_nan=False)
    assert any(value is None for value in leaves.values())
    for name, value in leaves.items():
        assert value is None or isinstance(value, (int, float, str)), name
        if value is None:
            stem = name.removesuffix("_low").removesuffix("_high")
            assert f"{stem}_reason" in leaves or f"{stem}_interval_reason" in leaves, name


def test_an_interval_holds_its_figure():
    block = performance_details(predictions(), operating_point(), SECTION)["test"]
    for name in ("auroc", "auprc", "accuracy", "sensitivity", "specificity", "f1", "mcc", "brier", "log_loss"):
        assert block[f"{name}_low"] < block[name] < block[f"{name}_high"]


def test_without_a_test_set_the_block_says_so_and_validation_is_reported():
    document = performance_details(predictions(splits=("val",)), operating_point(), SECTION)
    assert document["test"] == {"films": 0, "reason": "the cohort has no film in this split"}
    assert document["reported_split"] == "validation"
    assert document["validation"]["auroc"] > 0.8


def test_a_test_set_of_one_class_has_no_area_and_keeps_its_specificity():
    table = predictions()
    table = table[(table["split"] == "val") | (table["label"] == "normal")]
    block = performance_details(table, operating_point(), SECTION)["test"]
    assert (block["auroc"], block["auroc_reason"]) == (None, "no film of the positive class")
    assert block["specificity"] > 0.5


def test_where_no_film_is_wrong_the_interval_counts_the_patients_behind_each_figure():
    table = predictions(films=40)
    test = table["split"] == "test"
    table.loc[test, "patient_id"] = [f"p{number // 4}" for number in range(40)]
    table.loc[test, "label"] = ["pneumonia" if number < 12 else "normal" for number in range(40)]  # three patients
    table.loc[test, "logit"] = np.where(table.loc[test, "label"] == "pneumonia", 2.0, -2.0)
    block = performance_details(table, operating_point(), SECTION)["test"]
    for name, patients in (("auroc", 10), ("sensitivity", 3), ("precision", 3), ("specificity", 7), ("npv", 7)):
        z = student.ppf(0.975, patients - 1)
        assert (block[name], block[f"{name}_high"]) == (1.0, 1.0)
        assert block[f"{name}_low"] == pytest.approx(patients / (patients + z * z), abs=1e-5), name


def test_films_without_an_outline_of_lungs_are_left_out_of_the_shortcut_checks_and_counted():
    table = predictions()
    table[LUNGS_MASKED] = table[LUNGS_ONLY] = table["logit"]
    gave_up = table.index[table["split"] == "test"][:6]
    table.loc[gave_up, [LUNGS_MASKED, LUNGS_ONLY]] = np.nan
    shortcuts = check_details(table, operating_point(), SECTION)["shortcuts"]
    films = table[table["split"] == "test"].drop(index=gave_up)
    assert shortcuts["auroc_lungs_only"] == pytest.approx(sk.roc_auc_score(films["label"], films["logit"]), abs=1e-5)
    assert (shortcuts["auroc_lungs_only_missing"], shortcuts["auroc_lungs_masked_missing"]) == (6, 6)
    assert "auroc_missing" not in shortcuts


def test_an_operating_point_of_another_classifier_is_found_by_its_decisions():
    found = conclude(predictions(), SECTION)
    check_operating_point(found.table, found.operating_point, "here")
    for other in (replace(found.operating_point, threshold=0.9), replace(found.operating_point, temperature=1.5)):
        with pytest.raises(CxrError, match=r"here: \d+ films \(first: \w+\) were not decided by the operating point"):
            check_operating_point(found.table, other, "here")


def test_subgroups_are_the_films_of_each_value():
    table = predictions()
    test = table[table["split"] == "test"]
    found = subgroup_details(table, operating_point(), SECTION)
    ap, pa = test[test["view"] == "AP"], test[test["view"] == "PA"]
    assert found["view"]["AP"]["films"] == len(ap)
    aurocs = [sk.roc_auc_score(films["label"], films["logit"]) for films in (ap, pa)]
    assert found["view"]["AP"]["auroc"] == pytest.approx(aurocs[0], abs=1e-5)
    assert found["view"]["AP"]["difference"] == pytest.approx(aurocs[0] - aurocs[1], abs=1e-5)
    assert found["view"]["AP"]["difference_p_holm"] == pytest.approx(2 * found["view"]["AP"]["difference_p"])
    assert found["cause"] == {"reason": "the cohort has no column 'cause'"}


def test_a_group_that_is_told_worse_is_found_and_small_groups_have_no_row():
    table = predictions(films=400)
    test = (table["split"] == "test").to_numpy()
    rows = np.arange(len(table))
    table["view"] = np.where(rows % 400 < 8, "lateral", np.where(rows // 2 % 4 < 2, "AP", "PA"))
    noisy = test & (table["view"] == "AP").to_numpy()
    table.loc[noisy, "logit"] = np.random.default_rng(0).normal(0, 2, noisy.sum())
    found = subgroup_details(table, operating_point(), SECTION)["view"]
    assert found["too_small"] == {"lateral": 4}
    assert "lateral" not in found
    assert found["AP"]["difference_high"] < 0
    assert found["AP"]["difference_p_holm"] < 0.001


def test_a_column_of_many_values_is_not_spread_out():
    table = predictions()
    table["cause"] = [str(number) for number in range(len(table))]
    assert "120 values; at most 20" in subgroup_details(table, operating_point(), SECTION)["cause"]["reason"]


def test_shortcut_checks_and_baseline_are_measured_on_the_same_films():
    table = predictions()
    test = table["split"] == "test"
    for score, noise in ((LUNGS_MASKED, 5.0), (LUNGS_ONLY, 0.1), (HOG, 2.0)):
        noisy = table["logit"] + np.random.default_rng(1).normal(0, noise, len(table))
        table[score] = noisy.where(test)
    table["lung_share"], table["lung_area"] = np.where(table["label"] == "pneumonia", 0.8, 0.6), 0.3
    document = check_details(table, operating_point(), SECTION)
    films = table[test]
    shortcuts = document["shortcuts"]
    assert shortcuts["auroc_lungs_masked"] == pytest.approx(
        sk.roc_auc_score(films["label"], films[LUNGS_MASKED]), abs=1e-5
    )
    assert shortcuts["auroc_lungs_masked"] < shortcuts["auroc_lungs_only"]
    assert shortcuts["lung_share_pneumonia"] == 0.8
    assert shortcuts["lung_share"] == pytest.approx(0.7)
    assert (shortcuts["lung_share_chance"], shortcuts["auroc_chance"]) == (0.3, 0.5)
    baselines = document["baselines"]
    assert baselines["all_positive"]["accuracy"] == 0.5
    assert baselines["all_positive"]["f1"] == pytest.approx(2 / 3, abs=1e-5)
    gain = sk.roc_auc_score(films["label"], films["logit"]) - sk.roc_auc_score(films["label"], films[HOG])
    assert baselines["hog_logistic"]["gain"] == pytest.approx(gain, abs=1e-5)
    assert baselines["hog_logistic"]["gain_low"] < gain < baselines["hog_logistic"]["gain_high"]


def test_the_table_read_back_gives_the_same_bytes_of_metrics():
    first = conclude(predictions(), SECTION)
    text = first.table.to_csv(index=False)
    second = conclude(parse_predictions(text, "here"), SECTION)
    assert json.dumps([second.metrics, second.details]) == json.dumps([first.metrics, first.details])
    assert second.table.to_csv(index=False) == text


def test_the_operating_point_never_sees_test_films():
    table = predictions()
    changed = table.copy()
    changed.loc[changed["split"] == "test", "logit"] *= -3
    points = [conclude(one, SECTION).operating_point for one in (table, changed)]
    assert points[0] == points[1]


def test_a_logit_that_is_no_number_stops_evaluation_and_names_the_film():
    table = predictions()
    table.loc[5, "logit"] = np.nan
    with pytest.raises(CxrError, match=r"no finite logit for 1 of 240 films \(first: val0005\)"):
        conclude(table, SECTION)


def test_a_film_that_appears_twice_is_refused():
    table = predictions()
    table.loc[1, "image_id"] = table.loc[0, "image_id"]
    with pytest.raises(CxrError, match="film val0000 appears twice"):
        conclude(table, SECTION)


def test_a_label_that_is_no_class_is_refused():
    table = parse_predictions(predictions().replace({"label": {"normal": "NORMAL"}}).to_csv(index=False), "here")
    with pytest.raises(CxrError, match="label 'NORMAL' is none of the classifier's classes normal, pneumonia"):
        conclude(table, SECTION)


def test_ids_that_look_like_numbers_stay_text():
    table = predictions(films=4)
    table["patient_id"] = "007"
    assert set(parse_predictions(table.to_csv(index=False), "here")["patient_id"]) == {"007"}


@pytest.mark.parametrize("classes", [BINARY, THREE])
def test_metrics_json_holds_at_most_15_numbers_of_all_parts(classes: tuple[str, ...]):
    table = predictions(classes=classes, splits=("val", "test", "corrupted", "swapped"))
    found = conclude(table, SECTION, classes)
    leaves = _leaves(found.metrics)
    assert len(leaves) <= 15
    main = task_of(classes).main_metric
    figures = found.details["performance"]
    assert leaves[f"test.{main}"] == figures["test"][main]
    assert leaves[f"test.{main}_low"] == figures["test"][f"{main}_low"]
    assert leaves[f"val.{main}_high"] == figures["validation"][f"{main}_high"]
    assert leaves[f"corrupted_val.{main}"] == found.details["shift"]["corrupted"][main]
    assert leaves[f"swapped_val.{main}"] == found.details["shift"]["swapped"][main]
    assert leaves["lungs.dice"] == 0.95


def test_predictive_values_follow_from_sensitivity_and_specificity():
    """At 20 %: of 1000 people 180 of 200 ill and 17.78 of 800 healthy are called."""
    table = predictions(films=1000, splits=("val", "test"))
    test = table["split"] == "test"
    table.loc[test, "label"] = ["pneumonia"] * 100 + ["normal"] * 900
    table.loc[test, "logit"] = [2.0] * 90 + [-2.0] * 10 + [2.0] * 20 + [-2.0] * 880
    found = performance_details(table, operating_point(), SECTION)["test"]["prevalence"]
    assert found["ppv_at_10"] == pytest.approx(90 / 110, abs=1e-5)  # the prevalence of these films
    assert found["npv_at_10"] == pytest.approx(880 / 890, abs=1e-5)
    assert found["ppv_at_20"] == pytest.approx(180 / (180 + 800 * 20 / 900), abs=1e-5)
    assert found["npv_at_5"] == pytest.approx(950 * 880 / 900 / (950 * 880 / 900 + 5), abs=1e-5)
    for name in ("ppv_at_5", "npv_at_5", "ppv_at_20"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]


def test_calibration_is_told_by_slope_intercept_and_observed_over_expected():
    """Probabilities of a well calibrated classifier; then logits twice too large, and a finding half as common."""
    random, films = np.random.default_rng(0), 2000
    logit = random.normal(0, 1.5, films)
    ill = random.random(films) < 1 / (1 + np.exp(-logit))
    table = predictions(films=films)
    test = table["split"] == "test"
    table.loc[test, "label"] = np.where(ill, "pneumonia", "normal")
    table.loc[test, "logit"] = logit
    right = performance_details(table, operating_point(), SECTION)["test"]["calibration"]
    for name, value in (("slope", 1), ("intercept", 0), ("o_to_e", 1)):
        assert right[f"{name}_low"] < value < right[f"{name}_high"]
    table.loc[test, "logit"] = 2 * logit
    extreme = performance_details(table, operating_point(), SECTION)["test"]
    assert extreme["calibration"]["slope"] == pytest.approx(right["slope"] / 2, abs=1e-4)
    assert extreme["ece"] > extreme["calibration"]["ece_if_calibrated_high"]
    table.loc[test, "logit"] = logit + 1
    shifted = performance_details(table, operating_point(), SECTION)["test"]["calibration"]
    assert shifted["intercept"] == pytest.approx(right["intercept"] - 1, abs=1e-4)
    assert shifted["o_to_e"] < 0.9


def test_separated_films_have_no_calibration_slope_and_say_so():
    table = predictions(films=40)
    table["logit"] = np.where(table["label"] == "pneumonia", 2.0, -2.0)
    found = performance_details(table, operating_point(), SECTION)["test"]["calibration"]
    assert (found["slope"], found["slope_reason"]) == (None, "the films are separated without error")
