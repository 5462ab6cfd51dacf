"""Labels of a cohort whose bias-conflicting films are held out, from what ingest and segment wrote of the films."""

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
    """How patients are drawn."""

    validation: float = 0.2  # share of the patients who are not held out
    seed: int = 0
    share: float = 1.0  # of the bias-conflicting patients, to be held out
    films: int = 0  # to train and validate on; 0 = all


def hold_out(root: Path, out: Path, draw: Draw) -> None:
    """Write a label file for `data.layout: csv`.

    Args:
        root: data.root of the last ingest; paths in the file are relative to it.
        out: label file to write.
        draw: how patients are drawn.

    Raises:
        CxrError: a film lies outside of root, or no patient is bias-conflicting.
    """
    records, classes = read_manifest(Path("data/manifest.csv"))
    levels = read_acquisition(Path("data/acquisition.csv"))
    frames = framing(read_mask_table(Path("data/masks.csv")))
    table = pd.DataFrame([_row(record, root) for record in records])
    labels, names = table["label"].map(classes.index).to_numpy(), table.pop("image_id")
    for what, statistics in (
        ("grey levels", levels),
        ("place of the lungs", frames),
        ("both together", levels.join(frames)),
    ):
        logits = out_of_fold_logits(statistics.loc[names].to_numpy(), labels, table["patient_id"].tolist())
        log.info("%s: the label at AUROC %.3f", what, ovr_auroc(labels, logits))
    table["acquisition"] = logits[np.arange(len(table)), labels]  # speaks for the label, where it is above 0
    table["split"] = splits(table["patient_id"], labels, logits, draw.validation, draw.seed, draw.share)
    held_out = table["split"] == "test"
    if not held_out.any():
        raise CxrError("acquisition tells the label of every patient; none speaks against it, and none can be held out")
    log.info("both together, on held-out films: %.3f", ovr_auroc(labels[held_out], logits[held_out]))
    kept = thinned(table, draw.films, draw.seed).round(4)
    write_csv(out, kept)
    log.info("%s: %s", out, ", ".join(f"{n} {name}" for name, n in kept["split"].value_counts().items()))


def splits(
    patient_ids: pd.Series, labels: Array, logits: Array, validation: float, seed: int, share: float = 1.0
) -> pd.Series:
    """train, val or test of each film; a patient's films share one, and conflicting patients are the test.

    Args:
        patient_ids: of each film.
        labels: places of the classes, (films,); a patient counts with the first film's.
        logits: what acquisition says, of each class against all others (films, classes).
        validation: share of the patients who are not held out.
        seed: of the draws.
        share: of the conflicting patients, to be held out.
    """
    patients = pd.DataFrame(logits).groupby(patient_ids.to_numpy()).mean()
    label = pd.Series(labels).groupby(patient_ids.to_numpy()).first().to_numpy()
    held_out, random = bias_conflicting(label, patients.to_numpy()), np.random.default_rng(seed)
    drawn = random.random(len(patients))
    held_out &= random.random(len(patients)) < share
    split = np.where(held_out, "test", np.where(drawn < validation, "val", "train"))
    return patient_ids.map(pd.Series(split, patients.index))


def thinned(table: pd.DataFrame, films: int, seed: int) -> pd.DataFrame:
    """All films that are held out, and about `films` others, those of randomly drawn patients; every film for 0."""
    others = table.loc[table["split"] != "test", "patient_id"]
    if not 0 < films < len(others):
        return table
    patients = others.drop_duplicates().sample(frac=1, random_state=seed)
    counts = others.value_counts().loc[patients].cumsum()
    return table[(table["split"] == "test") | table["patient_id"].isin(counts.index[counts <= films])]


def _row(record: Record, root: Path) -> dict[str, str]:
    path = Path(record.path)
    if not path.is_relative_to(root):
        raise CxrError(f"{record.path}: not inside of {root}; --root must be the data.root of the last ingest")
    names = {"path": path.relative_to(root).as_posix(), "label": record.label, "patient_id": record.patient_id}
    return {"image_id": record.image_id, **names, **record.attributes}
