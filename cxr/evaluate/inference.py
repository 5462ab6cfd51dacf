"""Logits of the classifier for films of an NPZ set, and Grad-CAM."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import interpolate

from cxr.core.errors import CxrError
from cxr.evaluate.features import lungs_masked, lungs_only
from cxr.evaluate.intervals import Bools, Floats
from cxr.evaluate.table import LOGIT, LUNG_AREA, LUNG_SHARE, LUNGS_MASKED, LUNGS_ONLY, put_scores
from cxr.models.classifier import Classifier, Images, Logits, as_input, score
from cxr.npz.films import NpzRow, read_npz
from cxr.runtime.compute import Compute
from cxr.runtime.console import progress

WHOLE_FILM = 0.95  # share of the image above which a mask does not outline lungs
BATCH = 8  # activations then fit a processor's cache, and a GPU is busy enough


def logits_and_cam(classifier: Classifier, images: Images) -> tuple[Logits, Floats | None]:
    """Logits as `score` gives them, and the Grad-CAM of the plain films; only the head is differentiated.

    The map is that of the positive class (two classes) or of the most probable class (more).

    Args:
        classifier: in evaluation mode.
        images: stored films, uint8 (N, H, W, 4).

    Returns:
        Logits as `score` gives them, and maps (N, H, W) of non-negative evidence; None if the backbone's features are
        not a map (N, C, h, w) or (N, h, w, C).
    """
    films = as_input(classifier, images)
    with torch.no_grad():
        features = classifier.feature_map(films)
    channels_last = str(getattr(getattr(classifier, "backbone", None), "output_fmt", "")).upper().endswith("NHWC")
    channel, spatial = (3, (1, 2)) if channels_last else (1, (2, 3))
    if features.ndim != 4 or features.shape[spatial[0]] == 1:
        with torch.no_grad():
            return np.asarray(classifier.with_mirror(classifier.logits(features), films).cpu().numpy()), None
    with torch.enable_grad():
        features = features.detach().requires_grad_(True)
        logits = classifier.logits(features)
        target = logits if logits.ndim == 1 else logits.max(dim=1).values
        (gradient,) = torch.autograd.grad(target.sum(), features)
    with torch.no_grad():
        logits = classifier.with_mirror(logits, films)
        cam = (gradient.mean(dim=spatial, keepdim=True) * features).sum(dim=channel).relu()
        cam = interpolate(cam[:, None], size=images.shape[1:3], mode="bilinear", align_corners=False)[:, 0]
    return np.asarray(logits.detach().cpu().numpy()), np.asarray(cam.cpu().numpy().astype(np.float64))


def lung_share(cam: Floats, masks: Images) -> Floats:
    """Share of each map's mass inside the lungs, (N,).

    NaN without evidence, without lungs, and for the fallback mask.

    Args:
        cam: (N, H, W), not negative.
        masks: (N, H, W) uint8, more than 127 inside the lungs.
    """
    total, lungs = cam.sum(axis=(1, 2)), (cam * (masks > 127)).sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((total > 0) & outlined(masks), lungs / total, np.nan)


def outlined(masks: Images) -> Bools:
    """Whether each mask (N, H, W) outlines lungs, that is, is neither empty nor the whole film, (N,)."""
    area = (masks > 127).mean(axis=(1, 2))
    return np.asarray((area > 0) & (area < WHOLE_FILM))


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
    """The GPU if there is one, unless compute.yaml has `accelerator: cpu`; raises CxrError for a missing GPU."""
    if compute.accelerator == "cpu" or not torch.cuda.is_available():
        if compute.accelerator == "gpu":
            raise CxrError("compute.yaml: accelerator: gpu, but torch finds no GPU; use auto or cpu")
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
    """Add the logits of the same films with masked lungs and with lungs only.

    Other rows, and films whose mask does not outline lungs, stay empty.
    """
    removed, kept, usable = [], [], []
    for images in films.batches("shortcut checks"):
        removed.append(score(classifier, lungs_masked(images)))
        kept.append(score(classifier, lungs_only(images)))
        usable.append(outlined(images[..., 3]))
    own, known = [row.image_id for row in films.rows], np.concatenate(usable)
    classes = tuple(classifier.facts["classes"])
    for name, parts in ((LUNGS_MASKED, removed), (LUNGS_ONLY, kept)):
        values = np.concatenate(parts).astype(np.float64)
        values[~known] = np.nan
        fill_scores(table, name, classes, own, values)


def fill_scores(
    table: pd.DataFrame, score: str, classes: tuple[str, ...], image_ids: list[str], values: Floats
) -> None:
    """Add a score of some films: (len(image_ids),) or (len(image_ids), classes); other rows stay empty."""
    wide = np.full((len(table), *values.shape[1:]), np.nan)
    wide[pd.Index(table["image_id"]).get_indexer(pd.Index(image_ids))] = values
    put_scores(table, score, classes, wide)
