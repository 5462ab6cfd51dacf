"""A label file whose test split is the bias-conflicting films, from the tables of ingest and segment."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.acquisition.score import bias_conflicting, out_of_fold_logits, ovr_auroc
from cxr.acquisition.table import framing, read_acquisition
from cxr.core.errors import CxrError
from cxr.core.files import write_csv
from cxr.films.manifest import Record, read_manifest
from cxr.segment.table import read_mask_table

log = logging.getLogger(__name__)
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Draw:
    """How patients are divided."""

    validation: float = 0.2  # share of the remaining patients
    seed: int = 0
    share: float = 1.0  # share of the bias-conflicting patients that is held out
    films: int = 0  # for training and validation; 0 = all


def hold_out(root: Path, out: Path, draw: Draw) -> None:
    """Write a label file for `data.layout: csv`.

    Args:
        root: data.root of the last ingest; paths in the file are relative to it.
        out: label file to write.
        draw: how patients are divided.

    Raises:
        CxrError: a film is not inside root, or no patient is bias-conflicting.
    """
    records, classes = read_manifest(Path("data/manifest.csv"))
    levels = read_acquisition(Path("data/acquisition.csv"))
    frames = framing(read_mask_table(Path("data/masks.csv")))
    table = pd.DataFrame([_row(record, root) for record in records])
    labels, names = table["label"].map(classes.index).to_numpy(), table.pop("image_id")
    for what, statistics in (
        ("grey levels", levels),
        ("place of the lungs", frames),
        ("both", levels.join(frames)),
    ):
        logits = out_of_fold_logits(statistics.loc[names].to_numpy(), labels, table["patient_id"].tolist())
        log.info("acquisition AUROC of %s: %.3f", what, ovr_auroc(labels, logits))
    table["acquisition"] = logits[np.arange(len(table)), labels]  # above 0: acquisition predicts the label
    table["split"] = splits(table["patient_id"], labels, logits, draw.validation, draw.seed, draw.share)
    held_out = table["split"] == "test"
    if not held_out.any():
        raise CxrError(
            "no bias-conflicting patients: acquisition predicts every label; choose the test films otherwise"
        )
    log.info("acquisition AUROC of both on held-out films: %.3f", ovr_auroc(labels[held_out], logits[held_out]))
    kept = thinned(table, draw.films, draw.seed).round(4)
    write_csv(out, kept)
    log.info("%s: %s", out, ", ".join(f"{n} {name}" for name, n in kept["split"].value_counts().items()))


def splits(
    patient_ids: pd.Series, labels: Array, logits: Array, validation: float, seed: int, share: float = 1.0
) -> pd.Series:
    """The split of each film: train, val or test. All films of a patient share it; bias-conflicting patients are test.

    Args:
        patient_ids: of each film.
        labels: class indices (films,); the first film decides for its patient.
        logits: one-vs-rest logits from acquisition features (films, classes).
        validation: share of the remaining patients.
        seed: random seed.
        share: share of the bias-conflicting patients that is held out.
    """
    patients = pd.DataFrame(logits).groupby(patient_ids.to_numpy()).mean()
    label = pd.Series(labels).groupby(patient_ids.to_numpy()).first().to_numpy()
    held_out, random = bias_conflicting(label, patients.to_numpy()), np.random.default_rng(seed)
    drawn = random.random(len(patients))
    held_out &= random.random(len(patients)) < share
    split = np.where(held_out, "test", np.where(drawn < validation, "val", "train"))
    return patient_ids.map(pd.Series(split, patients.index))


def thinned(table: pd.DataFrame, films: int, seed: int) -> pd.DataFrame:
    """All held-out films and at most `films` others, of randomly drawn patients; every film where `films` is 0."""
    others = table.loc[table["split"] != "test", "patient_id"]
    if not 0 < films < len(others):
        return table
    patients = others.drop_duplicates().sample(frac=1, random_state=seed)
    counts = others.value_counts().loc[patients].cumsum()
    return table[(table["split"] == "test") | table["patient_id"].isin(counts.index[counts <= films])]


def _row(record: Record, root: Path) -> dict[str, str]:
    path = Path(record.path)
    if not path.is_relative_to(root):
        raise CxrError(f"{record.path}: not inside {root}; set --root to the data.root of the last ingest")
    names = {"path": path.relative_to(root).as_posix(), "label": record.label, "patient_id": record.patient_id}
    return {"image_id": record.image_id, **names, **record.attributes}
