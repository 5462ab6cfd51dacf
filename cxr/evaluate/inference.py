"""From NPZ films to the table of predictions: the one place where evaluation needs the classifier."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cxr.compute.settings import Compute
from cxr.console.progress import progress
from cxr.core.errors import CxrError
from cxr.evaluate.arrays import Floats
from cxr.evaluate.gradcam import logits_and_cam, lung_share, outlined
from cxr.evaluate.painting import lungs_only, without_lungs
from cxr.evaluate.predictions import KEPT, LOGIT, LUNG_AREA, LUNG_SHARE, REMOVED, put_scores
from cxr.models.classifier import Classifier
from cxr.models.score import Images, score
from cxr.npz.npz_set import NpzRow, read_npz

BATCH = 8  # what lies between the layers then fits a processor's cache; a GPU is busy enough with it here


@dataclass(frozen=True)
class NpzSet:
    """A folder of NPZ films and some rows of its index."""

    folder: Path
    rows: list[NpzRow]

    def split(self, *names: str) -> "NpzSet":
        """The films of some splits, in the order of the index."""
        return NpzSet(self.folder, [row for row in self.rows if row.split in names])

    def batches(self, description: str) -> Iterator[Images]:
        """Stored images, (N, H, W, 4) uint8."""
        images = []
        for row in progress(self.rows, len(self.rows), description):
            images.append(read_npz(self.folder / row.file).image)
            if len(images) == BATCH:
                yield np.stack(images)
                images = []
        if images:
            yield np.stack(images)


def pick_device(compute: Compute) -> torch.device:
    """The GPU where there is one and compute.yaml does not say cpu."""
    if compute.accelerator == "cpu" or not torch.cuda.is_available():
        if compute.accelerator == "gpu":
            raise CxrError("compute.yaml: accelerator: gpu, and torch finds no GPU; use auto or cpu")
        return torch.device("cpu")
    return torch.device("cuda")


def predict(classifier: Classifier, films: NpzSet) -> pd.DataFrame:
    """The table of predictions of some films: ids, label, logits, lung share and its chance level, attributes."""
    logits, shares, areas = [], [], []
    for images in films.batches("predict"):
        batch_logits, cam = logits_and_cam(classifier, images)
        logits.append(batch_logits)
        areas.append(np.where(outlined(images[..., 3]), (images[..., 3] > 127).mean(axis=(1, 2)), np.nan))
        shares.append(np.full(len(images), np.nan) if cam is None else lung_share(cam, images[..., 3]))
    table = pd.DataFrame(
        {
            "image_id": [row.image_id for row in films.rows],
            "patient_id": [row.patient_id for row in films.rows],
            "split": [row.split for row in films.rows],
            "label": [row.label for row in films.rows],
        }
    )
    put_scores(table, LOGIT, tuple(classifier.facts["classes"]), np.concatenate(logits))
    table[LUNG_SHARE] = np.round(np.concatenate(shares), 6)
    table[LUNG_AREA] = np.round(np.concatenate(areas), 6)
    attributes = pd.DataFrame([row.attributes for row in films.rows])
    return pd.concat([table, attributes.drop(columns=table.columns, errors="ignore")], axis=1)


def put_shortcut_scores(table: pd.DataFrame, classifier: Classifier, films: NpzSet) -> None:
    """Add the logits of the same films without lungs and with nothing but lungs; other rows stay empty.

    So do films whose mask outlines no lungs: segmentation gave up on them.
    """
    removed, kept, usable = [], [], []
    for images in films.batches("shortcut checks"):
        removed.append(score(classifier, without_lungs(images)))
        kept.append(score(classifier, lungs_only(images)))
        usable.append(outlined(images[..., 3]))
    own, known = [row.image_id for row in films.rows], np.concatenate(usable)
    classes = tuple(classifier.facts["classes"])
    for name, parts in ((REMOVED, removed), (KEPT, kept)):
        values = np.concatenate(parts).astype(np.float64)
        values[~known] = np.nan
        fill_scores(table, name, classes, own, values)


def fill_scores(
    table: pd.DataFrame, score: str, classes: tuple[str, ...], image_ids: list[str], values: Floats
) -> None:
    """Add a score that only some films have: (len(image_ids),) or (len(image_ids), classes)."""
    wide = np.full((len(table), *values.shape[1:]), np.nan)
    wide[pd.Index(table["image_id"]).get_indexer(pd.Index(image_ids))] = values
    put_scores(table, score, classes, wide)
