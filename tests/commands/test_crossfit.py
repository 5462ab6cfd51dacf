"""`python -m cxr crossfit` and `label-audit` over a toy pipeline whose folds are made beforehand."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from cxr.__main__ import main
from cxr.core.errors import CxrError
from cxr.decision.operating_point import write_operating_point
from cxr.films.manifest import Record, write_manifest
from cxr.models.classifier import save_classifier
from cxr.report.crossfit_table import read_crossfit
from tests.evaluate.conftest import BINARY, make_npz_set, operating_point, predictions, tiny_classifier

PIPELINE = """
stages:
  evaluate:
    cmd: python evaluate.py
    deps:
    - evaluate.py
    params:
    - train
    - data
    outs:
    - data/manifest.csv
    - data/npz
    - models/classifier.ckpt
    - models/operating_point.json:
        cache: false
    - metrics/predictions.csv:
        cache: false
  package:
    cmd: python -c "raise SystemExit('nobody asked for a bundle')"
    deps:
    - models/classifier.ckpt
"""
STAGE = """
import os, pathlib, re, shutil
fold = re.search(r"fold: (\\d)", pathlib.Path("params.yaml").read_text())[1]
with open(os.environ["TOLD"], "a") as told: print(fold, file=told)
assert fold != os.environ.get("BROKEN")
shutil.copytree(pathlib.Path(os.environ["MADE"]) / fold, ".", dirs_exist_ok=True)
"""
FILMS = 20  # of a fold


def make_fold(folder: Path, fold: int) -> None:
    """What the stages leave behind: the predictions, a checkpoint and the stored films of one fold."""
    npz = make_npz_set(folder / "data/npz", {"val": FILMS, "train": 4})
    index = pd.read_csv(npz / "index.csv")
    index["image_id"] = f"f{fold}" + index["image_id"]
    index.to_csv(npz / "index.csv", index=False)
    table = predictions(films=FILMS, splits=("val",))
    table["image_id"] = index.loc[index["split"] == "val", "image_id"].to_numpy()
    table["patient_id"] = f"f{fold}-" + table["patient_id"]
    table["logit"] = np.where(table["label"] == "pneumonia", 2.0, -2.0)
    if fold == 3:
        table.loc[0, "logit"] = 6.0  # of a film labelled normal
    (folder / "metrics").mkdir()
    table.to_csv(folder / "metrics/predictions.csv", index=False)
    write_operating_point(folder / "models/operating_point.json", operating_point())
    save_classifier(folder / "models/classifier.ckpt", tiny_classifier())
    whole = [
        Record(f"f{k}val{n:03d}", f"films/{k}/{n}.png", BINARY[n // 2 % 2], f"f{k}-p{n // 2}", "train", 64, 64, 8,
               "hash", "pixels", "")
        for k in range(5)
        for n in range(FILMS)
    ]  # fmt: skip
    split = [replace(one, split="val") if one.image_id.startswith(f"f{fold}") else one for one in whole]
    write_manifest(folder / "data/manifest.csv", split, BINARY)


@pytest.fixture
def folds(told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy repository with the pipeline of the folds; the file returned lists the folds that were run."""
    monkeypatch.setenv("MADE", str(tmp_path / "made"))
    for fold in range(5):
        make_fold(tmp_path / "made" / str(fold), fold)
    shutil.rmtree("metrics", ignore_errors=True)
    Path("dvc.yaml").write_text(PIPELINE)
    Path("evaluate.py").write_text(STAGE)
    Path("recipes.yaml").write_text("default: {}\n")
    Path("params.yaml").write_text("data:\n  root: films\n  fold: none\ntrain:\n  seed: 3\n")
    Path(".gitignore").write_text("/data\n/models/classifier.ckpt\n/reports\n")
    for command in (["add", "-A"], ["commit", "-q", "-m", "folds"]):
        subprocess.run(["git", *command], check=True)
    return told


@pytest.mark.journey
def test_an_interrupted_evaluation_resumes_and_its_labels_are_audited(
    folds: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BROKEN", "2")
    with pytest.raises(CxrError, match=r"experiment crossfit-default-\w+-3-2: the run failed"):
        main(["crossfit"])
    assert not Path("metrics/crossfit.csv").exists()
    with pytest.raises(CxrError, match="not trained; run `python -m cxr crossfit` with the same options first"):
        main(["label-audit"])
    monkeypatch.delenv("BROKEN")
    main(["crossfit"])
    assert folds.read_text().split() == ["0", "1", "2", "2", "3", "4"]
    table = read_crossfit()
    assert len(table) == table["image_id"].nunique() == 5 * FILMS
    assert table.groupby("fold").size().tolist() == [FILMS] * 5
    assert set(table["recipe"]) == {"default"}
    assert set(table["seed"]) == {3}

    main(["label-audit", "--films", "5"])
    audited = pd.read_csv("reports/label_audit/labels.csv", keep_default_na=False)
    assert len(audited) == 5 * FILMS
    assert audited.iloc[0][["path", "label", "suggested"]].tolist() == ["3/0.png", "normal", "pneumonia"]
    assert (audited["suggested"] != "").sum() == 1
    sheet = cv2.imread("reports/label_audit/sheet.png")
    assert sheet is not None
    assert sheet.std() > 20
    assert Path("params.yaml").read_text().endswith("fold: none\ntrain:\n  seed: 3\n")
