"""`python -m cxr holdout` on a cohort in which sharp films are mostly normal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cxr.__main__ import main
from cxr.acquisition.statistics import GREY_STATISTICS
from cxr.acquisition.table import write_acquisition
from cxr.core.errors import CxrError
from cxr.films.manifest import Record, read_manifest, write_manifest
from cxr.segment.table import MaskRow, read_mask_table, write_mask_table

FILMS = 240


@pytest.fixture
def cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """A manifest of 120 patients with two films each, in the current folder; sharpness by path."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    records, statistics = [], []
    for number in range(FILMS):
        label = "pneumonia" if number // 2 % 2 else "normal"
        sharp = generator.normal(1.5 if label == "normal" else 0.0)
        name = f"film{number}"
        records.append(
            Record(name, f"raw/{label}/{name}.png", label, f"P{number // 2}", "train", 9, 9, 8, name, name, "")
        )
        statistics.append((name, [sharp, *generator.normal(size=len(GREY_STATISTICS) - 1)]))
    Path("data").mkdir()
    write_manifest(Path("data/manifest.csv"), records, ["normal", "pneumonia"])
    write_acquisition(Path("data/acquisition.csv"), statistics)
    boxes = generator.uniform([0.1, 0.0, 0.7, 0.8], [0.3, 0.2, 0.9, 1.0], (FILMS, 4))
    areas = 0.3, 0.15, 0.15
    rows = [MaskRow(r.image_id, r.film_hash, *areas, *box, 0.95, 0, "") for r, box in zip(records, boxes, strict=True)]
    write_mask_table(Path("data/masks.csv"), rows)
    return pd.DataFrame(
        {"path": [f"{r.label}/{r.image_id}.png" for r in records], "sharp": [s[1][0] for s in statistics]}
    )


def test_held_out_normals_are_soft_and_held_out_pneumonias_are_sharp(cohort: pd.DataFrame) -> None:
    main(["holdout", "--out", "raw.csv", "--root", "raw"])
    labels = pd.read_csv("raw.csv").merge(cohort, on="path")
    assert len(labels) == FILMS
    sharp = labels.groupby(["label", "split"])["sharp"].mean()
    assert sharp["normal", "test"] < sharp["normal", "train"] - 0.5
    assert sharp["pneumonia", "test"] > sharp["pneumonia", "train"] + 0.5
    assert (labels.groupby("patient_id")["split"].nunique() == 1).all()
    shares = labels["split"].value_counts(normalize=True)
    assert 0.1 < shares["test"] <= 1 / 3
    positive, held_out = labels["label"] == "pneumonia", labels["split"] == "test"
    logit = labels["acquisition"].where(positive, -labels["acquisition"])
    assert roc_auc_score(positive[held_out], logit[held_out]) < 0.6 < roc_auc_score(positive, logit)
    assert 0.05 < shares["val"] < 0.25


def test_fewer_films_are_drawn_by_patient_the_same_each_time_and_all_held_out_films_stay(cohort: pd.DataFrame) -> None:
    for out, films in (("one.csv", "100"), ("two.csv", "100"), ("all.csv", "0")):
        main(["holdout", "--out", out, "--root", "raw", "--films", films])
    labels, everything = pd.read_csv("one.csv"), pd.read_csv("all.csv")
    held_out = labels["split"] == "test"
    assert list(labels["path"][held_out]) == list(everything["path"][everything["split"] == "test"])
    assert 98 <= (~held_out).sum() <= 100
    assert (labels["patient_id"].value_counts() == 2).all()
    assert Path("one.csv").read_bytes() == Path("two.csv").read_bytes()


def test_a_share_of_the_bias_conflicting_patients_can_stay_in_training(cohort: pd.DataFrame) -> None:
    for out, share in (("all.csv", "1"), ("half.csv", "0.5")):
        main(["holdout", "--out", out, "--root", "raw", "--share", share])
    everything, half = (set(t["path"][t["split"] == "test"]) for t in map(pd.read_csv, ("all.csv", "half.csv")))
    assert half < everything
    assert 0.3 < len(half) / len(everything) < 0.7


def test_a_root_other_than_the_manifests_is_a_one_line_error(cohort: pd.DataFrame) -> None:
    with pytest.raises(CxrError, match="not inside elsewhere"):
        main(["holdout", "--out", "raw.csv", "--root", "elsewhere"])


def test_the_place_of_the_lungs_on_the_film_is_an_acquisition_feature(cohort: pd.DataFrame) -> None:
    table = read_mask_table(Path("data/masks.csv"))
    normal = np.arange(FILMS) // 2 % 2 == 0
    far_left = normal ^ (np.arange(FILMS) // 2 % 10 == 0)  # one patient in ten is framed like the other class
    table["left"] = np.where(far_left, 0.1, 0.4)
    write_mask_table(Path("data/masks.csv"), [MaskRow(**row) for row in table.to_dict("records")])
    main(["holdout", "--out", "raw.csv", "--root", "raw"])
    labels = pd.read_csv("raw.csv")
    names = labels["path"].str.extract(r"film(\d+)")[0].astype(int)
    odd = set(labels["patient_id"][names // 2 % 10 == 0])
    assert odd <= set(labels["patient_id"][labels["split"] == "test"])


def test_films_whose_acquisition_predicts_every_label_cannot_be_held_out(cohort: pd.DataFrame) -> None:
    table = read_mask_table(Path("data/masks.csv"))
    table["left"] = np.where(np.arange(FILMS) // 2 % 2 == 0, 0.1, 0.4)
    write_mask_table(Path("data/masks.csv"), [MaskRow(**row) for row in table.to_dict("records")])
    with pytest.raises(CxrError, match="no bias-conflicting patients"):
        main(["holdout", "--out", "raw.csv", "--root", "raw"])


def test_bias_conflicting_patients_of_three_classes_are_held_out(cohort: pd.DataFrame) -> None:
    records, _ = read_manifest(Path("data/manifest.csv"))
    causes = [
        replace(r, label=("bacteria", "virus")[k // 4 % 2]) if r.label != "normal" else r for k, r in enumerate(records)
    ]
    write_manifest(Path("data/manifest.csv"), causes, ["normal", "bacteria", "virus"])
    main(["holdout", "--out", "raw.csv", "--root", "raw"])
    labels = pd.read_csv("raw.csv")
    shares = labels.groupby("label")["split"].agg(lambda split: (split == "test").mean())
    assert shares.min() > 0.1
    assert shares.max() - shares.min() < 0.05
    held_out = labels["split"] == "test"
    assert labels["acquisition"][held_out].mean() < 0 < labels["acquisition"][~held_out].mean()
