"""The whole evaluation on a small NPZ set and an untrained classifier."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

from cxr.core.errors import CxrError
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.evaluate import ResultPaths, evaluate
from cxr.evaluate.pictures import choose_films
from cxr.evaluate.table import read_predictions
from cxr.models.classifier import Classifier
from cxr.npz.preparation import to_json
from tests.evaluate.conftest import BINARY, EARLIER, THREE, acquisition, make_npz_set, operating_point, tiny_classifier
from tests.npz.test_preparation import changed
from tests.settings import machine, section

SECTION = section(EvaluateSection, resamples=100, gallery_films=6, subgroups=("view",))
CPU = machine(workers=1, accelerator="cpu")


def _run(classifier: Classifier, npz: Path, folder: Path, section: EvaluateSection = SECTION) -> dict:
    paths = ResultPaths(folder, folder / "plots", folder / "pictures", folder / "operating_point.json")
    evaluate(classifier, npz, acquisition(npz), section, CPU, EARLIER, paths)
    return {
        name: json.loads((folder / "details" / f"{name}.json").read_text())
        for name in ("performance", "checks", "shift")
    }


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_twice_gives_the_same_bytes_pictures_included(npz_set: Path, tmp_path: Path):
    for name in ("one", "two"):
        _run(tiny_classifier(), npz_set, tmp_path / name)
    first = _bytes(tmp_path / "one")
    assert first == _bytes(tmp_path / "two")
    assert {"metrics.json", "predictions.csv", "operating_point.json", "pictures/gradcam.png"} <= set(first)
    details = {"performance", "checks", "shift", "subgroups", "data", "segmentation", "training"}
    assert {f"details/{name}.json" for name in details} <= set(first)
    assert {"plots/roc_val.csv", "plots/roc_test.csv", "plots/confusion.csv", "plots/scores.csv"} <= set(first)


def test_every_held_out_film_is_in_the_table_with_all_its_scores(npz_set: Path, tmp_path: Path):
    _run(tiny_classifier(), npz_set, tmp_path)
    table = read_predictions(tmp_path / "predictions.csv")
    assert table["split"].value_counts().to_dict() == {"test": 20, "val": 16, "corrupted": 16, "swapped": 16}
    test = table[table["split"] == "test"]
    scores = ("logit", "probability", "lungs_masked_logit", "lungs_only_logit", "hog_logit", "hog_lungs_masked_logit")
    for column in (*scores, "lung_area"):
        assert test[column].notna().all(), column
    assert set(test["view"]) == {"AP", "PA"}
    assert (table["acquisition_logit"].notna() == (table["split"] == "val")).all()
    assert table["hog_logit"].notna().all()


def test_the_baseline_learns_what_plainly_differs(npz_set: Path, tmp_path: Path):
    metrics = _run(tiny_classifier(), npz_set, tmp_path)
    assert metrics["checks"]["baselines"]["hog_logistic"]["auroc"] == 1.0
    assert metrics["checks"]["baselines"]["hog_logistic"]["gain"] < 0
    for view in ("validation", "corrupted", "swapped"):
        assert metrics["shift"][view]["auroc_hog"] == 1.0
    assert metrics["checks"]["shortcuts"]["auroc_hog_lungs_masked"] < 0.8  # here the label is nowhere but in the lungs


def test_three_classes_go_all_the_way(tmp_path: Path):
    npz = make_npz_set(tmp_path / "npz", {"train": 24, "val": 18, "test": 18}, THREE)
    metrics = _run(tiny_classifier(THREE), npz, tmp_path)
    assert set(metrics["performance"]["test"]["per_class"]) == set(THREE)
    assert metrics["performance"]["operating_point"]["rule"] == "argmax"
    assert (tmp_path / "pictures" / "gradcam.png").is_file()


def test_without_a_test_set_validation_is_reported_and_drawn(tmp_path: Path):
    npz = make_npz_set(tmp_path / "npz", {"train": 12, "val": 16})
    metrics = _run(tiny_classifier(), npz, tmp_path)
    assert metrics["performance"]["reported_split"] == "validation"
    assert metrics["checks"]["shortcuts"]["auroc_lungs_only"] is not None
    plots = {path.name for path in (tmp_path / "plots").iterdir()}
    assert "roc_val.csv" in plots
    assert "roc_test.csv" not in plots


def test_switched_off_checks_say_so(npz_set: Path, tmp_path: Path):
    section = SECTION.model_copy(update={"shortcuts": False, "baseline": False, "gallery_films": 0})
    metrics = _run(tiny_classifier(), npz_set, tmp_path, section)
    assert metrics["checks"]["shortcuts"]["auroc_lungs_only_reason"] == "evaluate.shortcuts is off"
    assert metrics["checks"]["shortcuts"]["auroc_hog_lungs_masked_reason"] == "evaluate.baseline is off"
    assert metrics["checks"]["baselines"]["hog_logistic"] == {"reason": "evaluate.baseline is off"}
    assert "auroc_hog" not in metrics["shift"]["validation"]
    assert not (tmp_path / "plots" / "gradcam.png").exists()


def test_without_validation_films_nothing_is_written(tmp_path: Path):
    npz = make_npz_set(tmp_path / "npz", {"train": 8, "test": 8})
    with pytest.raises(CxrError, match="no film with split 'val'"):
        _run(tiny_classifier(), npz, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_diverged_classifier_is_told(npz_set: Path, tmp_path: Path):
    classifier = tiny_classifier()
    with torch.no_grad():
        classifier.head[1].weight.fill_(torch.nan)
    with pytest.raises(CxrError, match=r"classifier.ckpt: no finite logit for 68 of 68 films"):
        _run(classifier, npz_set, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_classifier_of_other_classes_is_refused(npz_set: Path, tmp_path: Path):
    with pytest.raises(CxrError, match=r"classes normal\|pneumonia, but the classifier has bacterial\|normal\|viral"):
        _run(tiny_classifier(THREE), npz_set, tmp_path)


def test_films_prepared_otherwise_than_in_training_are_refused(npz_set: Path, tmp_path: Path):
    classifier = tiny_classifier()
    classifier.facts["npz_spec"] = to_json(changed(image_px=999))
    with pytest.raises(CxrError, match=r"npz0: preparation differs .*preprocess.settings.image_px: 999 against \d+"):
        _run(classifier, npz_set, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_film_is_named(npz_set: Path, tmp_path: Path):
    npz = tmp_path / "npz"
    shutil.copytree(npz_set, npz)
    victim = npz / pd.read_csv(npz / "index.csv").query("split == 'test'")["file"].iloc[0]
    victim.write_bytes(victim.read_bytes()[:100])
    with pytest.raises(CxrError, match=victim.name):
        _run(tiny_classifier(), npz, tmp_path / "out")


def test_the_gallery_shows_the_surest_mistakes_first_and_then_what_was_right():
    logits = {"sure_miss": -3.0, "miss": -1.0, "sure_alarm": 4.0, "alarm": 0.5, "right_ill": 2.0, "right_well": -2.0}
    ill = {"sure_miss", "miss", "right_ill"}
    table = pd.DataFrame({"image_id": list(logits), "logit": list(logits.values())})
    table["label"] = [BINARY[name in ill] for name in logits]
    shown = [(table["image_id"][row], kind) for row, kind in choose_films(table, operating_point(), 6)]
    assert shown == [
        ("sure_miss", "false negative"),
        ("miss", "false negative"),
        ("sure_alarm", "false positive"),
        ("alarm", "false positive"),
        ("right_ill", "correct"),
        ("right_well", "correct"),
    ]
