"""The Grad-CAM gallery: mistakes first, each film with its evidence and the outline of its lungs."""

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cxr.core.files import atomic_path
from cxr.evaluate.gradcam import logits_and_cam
from cxr.evaluate.inference import NpzSet
from cxr.evaluate.operating_point import OperatingPoint
from cxr.evaluate.predictions import LOGIT, labels, scores
from cxr.evaluate.task import task_of
from cxr.models.classifier import Classifier
from cxr.npz.npz_set import read_npz

COLUMNS = 6
ORANGE, BLUE, GREY = "#D55E00", "#56B4E9", "#666666"  # Okabe & Ito 2008
STRONGEST = 0.55  # opacity of the overlay where the evidence is greatest


def choose_films(table: pd.DataFrame, point: OperatingPoint, count: int) -> list[tuple[int, str]]:
    """Rows of the table to show, with what each is: a third false negatives, a third false positives, then correct.

    Within a kind the most confident come first; places that a kind does not fill go to the next.
    """
    label = labels(table, point.classes)
    probability = point.probability(scores(table, LOGIT, point.classes))
    called = point.decide(probability)
    task = task_of(point.classes)
    kinds = task.mistakes(label, called)
    ranked = np.argsort(-task.confidence(probability, called), kind="stable")
    chosen: list[tuple[int, str]] = []
    for number, (kind, where) in enumerate(kinds.items(), start=1):
        places = count * 2 * number // (3 * len(kinds)) - len(chosen)
        chosen += [(int(index), kind) for index in ranked if where[index]][:places]
    correct = [[int(i) for i in ranked if label[i] == called[i] == k] for k in reversed(range(len(point.classes)))]
    turn = [row[depth] for depth in range(max(map(len, correct), default=0)) for row in correct if depth < len(row)]
    return chosen + [(index, "correct") for index in turn[: count - len(chosen)]]


def draw_gallery(
    path: Path, classifier: Classifier, films: NpzSet, table: pd.DataFrame, point: OperatingPoint, count: int
) -> None:
    """Write the gallery of `count` films as PNG; a classifier without a feature map gives films without evidence."""
    chosen = choose_films(table, point, count)
    files = {row.image_id: row.file for row in films.rows}
    rows = max(1, -(-len(chosen) // COLUMNS))
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(COLUMNS * 2.1, rows * 2.55 + 0.55), squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    images = [read_npz(films.folder / files[table["image_id"].iloc[index]]).image for index, _ in chosen]
    _, cams = logits_and_cam(classifier, np.stack(images))
    # One scale for all: a film with little evidence stays grey instead of showing its noise in full colour.
    most = 0.0 if cams is None else float(cams.max())
    for place, (axis, (index, kind)) in enumerate(zip(axes.ravel(), chosen, strict=False)):
        _draw_film(axis, images[place], None if cams is None or most == 0 else cams[place] / most)
        axis.set_title(
            _caption(table.iloc[index], point, kind), fontsize=7, color=GREY if kind == "correct" else ORANGE
        )
    evidence = f"evidence for {task_of(point.classes).evidence_for()} (yellow = most of all films shown)"
    figure.suptitle(f"Grad-CAM: {evidence}, lungs in blue; mistakes first", fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 0.99))
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)


def _draw_film(axis: Any, image: np.ndarray[Any, Any], cam: np.ndarray[Any, Any] | None) -> None:
    axis.imshow(image[..., :3])
    if cam is not None:
        axis.imshow(cam, cmap="inferno", alpha=STRONGEST * cam, vmin=0, vmax=1)
    if image[..., 3].any():
        axis.contour(image[..., 3] > 127, levels=[0.5], colors=BLUE, linewidths=0.9)


def _caption(row: pd.Series, point: OperatingPoint, kind: str) -> str:
    logit = scores(row.to_frame().T, LOGIT, point.classes)
    probability = point.probability(logit.astype(np.float64))
    shown = float(probability[0] if probability.ndim == 1 else probability[0].max())
    name = str(row["image_id"])
    name = name if len(name) <= 26 else f"…{name[-25:]}"
    called = point.classes[int(point.decide(probability)[0])]
    verdict = f"{row['label']}, called {called}" if kind == "mistake" else f"{kind}: {row['label']}"
    return f"{name}\n{verdict}\np = {shown:.2f}"
