"""From NPZ films to the table of predictions: the one place where evaluation needs the classifier."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from cxr.compute.settings import Compute
from cxr.console.progress import progress
from cxr.core.errors import CxrError
from cxr.evaluate.bootstrap import Floats
from cxr.evaluate.gradcam import logits_and_cam, lung_share, outlined
from cxr.evaluate.predictions import KEPT, LOGIT, LUNG_SHARE, REMOVED, put_scores
from cxr.models.classifier import Classifier
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

    def batches(self, description: str) -> Iterator[Tensor]:
        """Images, (N, 4, H, W) uint8."""
        images = []
        for row in progress(self.rows, len(self.rows), description):
            images.append(read_npz(self.folder / row.file).image.transpose(2, 0, 1))
            if len(images) == BATCH:
                yield torch.from_numpy(np.stack(images))
                images = []
        if images:
            yield torch.from_numpy(np.stack(images))


def pick_device(compute: Compute) -> torch.device:
    """The GPU where there is one and compute.yaml does not say cpu."""
    if compute.accelerator == "cpu" or not torch.cuda.is_available():
        if compute.accelerator == "gpu":
            raise CxrError("compute.yaml: accelerator: gpu, and torch finds no GPU; use auto or cpu")
        return torch.device("cpu")
    return torch.device("cuda")


def predict(classifier: Classifier, films: NpzSet, device: torch.device) -> pd.DataFrame:
    """The table of predictions of some films: ids, label, logits, lung share, attributes."""
    logits, shares = [], []
    for images in films.batches("predict"):
        batch = images.to(device, memory_format=torch.channels_last)
        batch_logits, cam = logits_and_cam(classifier, batch)
        logits.append(batch_logits.cpu().numpy())
        shares.append(np.full(len(images), np.nan) if cam is None else lung_share(cam, batch[:, 3]))
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
    attributes = pd.DataFrame([row.attributes for row in films.rows])
    return pd.concat([table, attributes.drop(columns=table.columns, errors="ignore")], axis=1)


def put_shortcut_scores(table: pd.DataFrame, classifier: Classifier, films: NpzSet, device: torch.device) -> None:
    """Add the logits of the same films without lungs and with nothing but lungs; other rows stay empty.

    So do films whose mask outlines no lungs: segmentation gave up on them.
    """
    removed, kept, usable = [], [], []
    with torch.no_grad():
        for images in films.batches("shortcut checks"):
            batch = images.to(device, memory_format=torch.channels_last)
            removed.append(classifier(without_lungs(batch)).cpu().numpy())
            kept.append(classifier(lungs_only(batch)).cpu().numpy())
            usable.append(outlined(batch[:, 3]).cpu().numpy())
    own, known = [row.image_id for row in films.rows], np.concatenate(usable)
    classes = tuple(classifier.facts["classes"])
    for score, parts in ((REMOVED, removed), (KEPT, kept)):
        values = np.concatenate(parts).astype(np.float64)
        values[~known] = np.nan
        fill_scores(table, score, classes, own, values)


def fill_scores(
    table: pd.DataFrame, score: str, classes: tuple[str, ...], image_ids: list[str], values: Floats
) -> None:
    """Add a score that only some films have: (len(image_ids),) or (len(image_ids), classes)."""
    wide = np.full((len(table), *values.shape[1:]), np.nan)
    wide[pd.Index(table["image_id"]).get_indexer(pd.Index(image_ids))] = values
    put_scores(table, score, classes, wide)


def without_lungs(images: Tensor) -> Tensor:
    """The films with their lungs painted in the film's mean grey: (N, 4, H, W) uint8."""
    return _paint(images, images[:, 3:4] > 127)


def lungs_only(images: Tensor) -> Tensor:
    """The films with everything but the lungs painted in the film's mean grey: (N, 4, H, W) uint8."""
    return _paint(images, images[:, 3:4] <= 127)


def _paint(images: Tensor, where: Tensor) -> Tensor:
    grey = images[:, :3].float().mean(dim=(1, 2, 3), keepdim=True).round().to(torch.uint8)
    return torch.cat([torch.where(where, grey, images[:, :3]), images[:, 3:]], dim=1)
