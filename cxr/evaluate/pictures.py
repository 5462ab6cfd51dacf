"""Pictures of films: the Grad-CAM gallery, the lung contact sheet, and which of them Git tracks."""

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from cxr.core.errors import CxrError
from cxr.core.files import atomic_path, write_bytes
from cxr.decision.operating_point import OperatingPoint
from cxr.evaluate.inference import NpzSet, logits_and_cam
from cxr.evaluate.scored import Block
from cxr.evaluate.table import LOGIT, labels, scores
from cxr.evaluate.task import task_of
from cxr.models.classifier import Classifier
from cxr.npz.films import read_index, read_npz
from cxr.segment.table import read_mask_table

log = logging.getLogger(__name__)
matplotlib.use("Agg")
GALLERY_COLUMNS = 6
ORANGE, BLUE, GREY = "#D55E00", "#56B4E9", "#666666"  # Okabe & Ito 2008
STRONGEST = 0.55  # of the overlay at the strongest evidence
Image = np.ndarray[Any, np.dtype[np.uint8]]
TILE_PX, CAPTION_PX = 192, 32
FONT, LETTERS = cv2.FONT_HERSHEY_SIMPLEX, 0.36  # height of letters, at most
COLUMNS, ROWS = 6, 3
LEVEL_STEP = 8  # of 256 grey levels
OUTLINE = {False: (80, 220, 255), True: (80, 80, 255)}  # BGR: yellow, red for a fallback


@dataclass(frozen=True)
class Panel:
    """One film of a sheet."""

    image: Image  # as stored, (side, side, 4)
    heat: np.ndarray[Any, Any] | None  # (side, side), 0 to 1
    caption: str
    colour: str  # of the caption


def publish_pictures(pictures: Path, plots: Path, setting: str, audit: Block) -> None:
    """Copy the pictures of films into `plots`, which Git tracks, if setting and cohort allow it.

    Args:
        pictures: folder of all pictures, which Git ignores.
        plots: folder of the plots.
        setting: `evaluate.pictures_in_git`; auto allows a synthetic cohort only.
        audit: the audit of ingest, with the key `synthetic`.

    Raises:
        CxrError: the audit has no key `synthetic`.
    """
    if "synthetic" not in audit:
        raise CxrError("data/audit.json: no key 'synthetic'; run `dvc repro --force ingest`")
    if setting == "always" or (setting == "auto" and audit["synthetic"]):
        for picture in sorted(pictures.glob("*.png")):
            shutil.copyfile(picture, plots / picture.name)
    else:
        log.info("pictures of films are in data/pictures/, outside of Git (evaluate.pictures_in_git: %s)", setting)


def choose_films(table: pd.DataFrame, point: OperatingPoint, count: int) -> list[tuple[int, str]]:
    """Rows of the table to show, each with its kind: a third false negatives, a third false positives, then correct.

    Within a kind the most confident come first. Unused places of a kind go to the next.
    """
    label = labels(table, point.classes)
    probability = point.probability(scores(table, LOGIT, point.classes))
    predicted = point.decide(probability)
    task = task_of(point.classes)
    kinds = task.mistakes(label, predicted)
    ranked = np.argsort(-task.confidence(probability, predicted), kind="stable")
    chosen: list[tuple[int, str]] = []
    for number, (kind, where) in enumerate(kinds.items(), start=1):
        places = count * 2 * number // (3 * len(kinds)) - len(chosen)
        chosen += [(int(index), kind) for index in ranked if where[index]][:places]
    correct = [[int(i) for i in ranked if label[i] == predicted[i] == k] for k in reversed(range(len(point.classes)))]
    turn = [row[depth] for depth in range(max(map(len, correct), default=0)) for row in correct if depth < len(row)]
    return chosen + [(index, "correct") for index in turn[: count - len(chosen)]]


def draw_gallery(
    path: Path, classifier: Classifier, films: NpzSet, table: pd.DataFrame, point: OperatingPoint, count: int
) -> None:
    """Write the gallery of `count` films as PNG; without a feature map of the classifier, films have no overlay."""
    chosen = choose_films(table, point, count)
    files = {row.image_id: row.file for row in films.rows}
    images = [read_npz(films.folder / files[table["image_id"].iloc[index]]).image for index, _ in chosen]
    panels = [
        Panel(image, heat, _gallery_caption(table.iloc[index], point, kind), GREY if kind == "correct" else ORANGE)
        for image, heat, (index, kind) in zip(images, heat_maps(classifier, images), chosen, strict=True)
    ]
    evidence = f"evidence for {task_of(point.classes).evidence_for()} (yellow = most of all films shown)"
    draw_panels(path, panels, f"Grad-CAM: {evidence}, lungs in blue; mistakes first")


def heat_maps(classifier: Classifier, images: list[Image]) -> Sequence[np.ndarray[Any, Any] | None]:
    """The Grad-CAM of each film (side, side), 0 to 1; None without a feature map or without any evidence.

    The films have one scale, so that noise on a film with little evidence stays grey.
    """
    _, cams = logits_and_cam(classifier, np.stack(images))
    most = 0.0 if cams is None else float(cams.max())
    return [None] * len(images) if cams is None or most == 0 else list(cams / most)


def draw_panels(path: Path, panels: Sequence[Panel], heading: str) -> None:
    """Write films with lungs and heat maps, GALLERY_COLUMNS per row, as PNG."""
    rows = max(1, -(-len(panels) // GALLERY_COLUMNS))
    figure, axes = plt.subplots(
        rows, GALLERY_COLUMNS, figsize=(GALLERY_COLUMNS * 2.1, rows * 2.55 + 0.55), squeeze=False
    )
    for axis in axes.ravel():
        axis.axis("off")
    for axis, panel in zip(axes.ravel(), panels, strict=False):
        _draw_film(axis, panel.image, panel.heat)
        axis.set_title(panel.caption, fontsize=7, color=panel.colour)
    figure.suptitle(heading, fontsize=9)
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


def _gallery_caption(row: pd.Series, point: OperatingPoint, kind: str) -> str:
    logit = scores(row.to_frame().T, LOGIT, point.classes)
    probability = point.probability(logit.astype(np.float64))
    shown = float(probability[0] if probability.ndim == 1 else probability[0].max())
    name = str(row["image_id"])
    name = name if len(name) <= 26 else f"…{name[-25:]}"
    predicted = point.classes[int(point.decide(probability)[0])]
    verdict = f"{row['label']}, predicted {predicted}" if kind == "mistake" else f"{kind}: {row['label']}"
    return f"{name}\n{verdict}\np = {shown:.2f}"


def contact_sheet(masks_csv: Path, npz_folder: Path, out: Path) -> None:
    """Write a PNG of the films with the worst masks: fallbacks, then the lowest Dice, measured or expected."""
    files = {row.image_id: row.file for row in read_index(npz_folder)}
    table = worst_first(read_mask_table(masks_csv))
    chosen = [row for row in table.to_dict("records") if row["image_id"] in files][: COLUMNS * ROWS]
    images = [read_npz(npz_folder / files[row["image_id"]]).image for row in chosen]
    tiles = [tile(image, _mask_caption(row), bool(row["fallback"])) for image, row in zip(images, chosen, strict=True)]
    write_bytes(out, _png(grid(tiles)))


def worst_first(table: pd.DataFrame) -> pd.DataFrame:
    """Sort a mask table from worst to best: fallbacks, then by Dice or, without a reference, by expected Dice."""
    trust = table["dice"].fillna(table["expected_dice"]) - 2 * table["fallback"]
    return table.assign(trust=trust).sort_values(["trust", "image_id"], kind="stable", ignore_index=True)


def tile(image: Image, caption: tuple[str, str], fallback: bool) -> Image:
    """One film (h, w, 4) = [R, G, B, mask], outlined, two lines below it: (TILE_PX + CAPTION_PX, TILE_PX, 3) BGR."""
    side = (TILE_PX, TILE_PX)
    picture = cv2.resize(np.ascontiguousarray(image[..., 2::-1]), side, interpolation=cv2.INTER_AREA)
    picture = (
        picture // LEVEL_STEP * LEVEL_STEP
    )  # Git keeps every version of the sheet; fewer grey levels halve the bytes
    mask = cv2.resize(np.ascontiguousarray(image[..., 3]), side, interpolation=cv2.INTER_LINEAR)
    outlines, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, OUTLINE[fallback], 1)
    strip = np.zeros((CAPTION_PX, TILE_PX, 3), np.uint8)
    for line, baseline in zip(caption, (13, 27), strict=True):
        (width, _), _ = cv2.getTextSize(line, FONT, LETTERS, 1)
        scale = LETTERS * min(1.0, (TILE_PX - 6) / max(1, width))
        cv2.putText(strip, line, (3, baseline), FONT, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([picture, strip]).astype(np.uint8)


def grid(tiles: list[Image]) -> Image:
    """Tiles in rows of COLUMNS; empty places are black."""
    blank = np.zeros((TILE_PX + CAPTION_PX, TILE_PX, 3), np.uint8)
    padded = tiles + [blank] * (-len(tiles) % COLUMNS if tiles else COLUMNS)
    rows = [np.hstack(padded[start : start + COLUMNS]) for start in range(0, len(padded), COLUMNS)]
    return np.vstack(rows).astype(np.uint8)


def _mask_caption(row: dict[Any, Any]) -> tuple[str, str]:
    score = f"Dice {row['dice']:.3f}" if pd.notna(row["dice"]) else f"Dice {row['expected_dice']:.2f} expected"
    name = str(row["image_id"])
    return name if len(name) <= 32 else f"..{name[-30:]}", row["fallback_reason"] if row["fallback"] else score


def _png(picture: Image) -> bytes:
    ok, encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert ok
    return encoded.tobytes()
