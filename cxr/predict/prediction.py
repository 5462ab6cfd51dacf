"""The prediction for one film, and its row in predictions.csv."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cxr.bundle.population import Declared
from cxr.core.files import write_text
from cxr.films.letterbox import Box, Image, Letterbox

Array = np.ndarray[Any, np.dtype[np.float32]]
Row = dict[str, Any]
DIGITS = 6


@dataclass(frozen=True)
class Flag:
    """One reason not to rely on a prediction."""

    code: str  # one of `cxr.bundle.config.FLAGS`
    text: str  # for a person, with the measured values


@dataclass(frozen=True)
class Prediction:
    """The prediction for one film. Pictures of the film are in the square letterbox frame of the lung segmenter."""

    name: str
    film_hash: str
    frame: Letterbox  # the film's place in the frame
    picture: Image  # the film as the lung segmenter saw it: grey (frame, frame), or with colours (frame, frame, 3)
    mask: Image  # lung mask, 0 or 255, (frame, frame); the whole film for the fallback
    image: Image  # input of the classifier: uint8 (image_px, image_px, 4)
    crop_box: Box  # the part of the film that `image` shows, in the film's pixels
    stored: Letterbox  # the place of that part in `image`
    lung_area: float  # share of the film, as found
    expected_dice: float  # expected Dice of the lungs as found; 0 if they are implausible
    logits: tuple[float, ...]  # one for two classes, else one per class
    probabilities: dict[str, float]  # calibrated, by class
    probability: float  # of the second of two classes, else of the predicted class
    decision: str  # class name
    threshold: float | None  # on `probability`; None if the most probable class is predicted
    distance: float  # from the training films, in units of ood.threshold: above 1 is out of distribution
    meaning: str  # observed share on validation, in words; empty for three or more classes
    flags: tuple[Flag, ...]
    declared: Declared  # age and view by the request or table, else by the header
    activation: Array | None  # class activation of `decision`'s finding over `image`, (h, w); None for some networks

    @property
    def reliable(self) -> bool:
        """Whether the prediction has no flag."""
        return not self.flags

    @property
    def film_size(self) -> tuple[int, int]:
        """Width and height of the film, pixels."""
        return self.frame.width, self.frame.height


def columns(classes: Sequence[str]) -> list[str]:
    """The columns, with one score for two classes, else one per class."""
    return [
        "film", "decision", *_names("probability", classes), "reliable", "flags", "reasons", "rejected",
        "age", "view", *_names("logit", classes), "distance", "lung_area", "expected_dice", "width", "height",
        "film_hash", "bundle",
    ]  # fmt: skip


def answered(prediction: Prediction, classes: Sequence[str], bundle: str) -> Row:
    """The row of a film with a prediction."""
    shown = [prediction.probability] if len(classes) == 2 else list(prediction.probabilities.values())
    width, height = prediction.film_size
    return {
        "film": prediction.name,
        "decision": prediction.decision,
        **_rounded("probability", classes, shown),
        "reliable": "yes" if prediction.reliable else "no",
        "flags": "|".join(flag.code for flag in prediction.flags),
        "reasons": "; ".join(flag.text for flag in prediction.flags),
        "rejected": "",
        **prediction.declared.shown,
        **_rounded("logit", classes, prediction.logits),
        "distance": round(prediction.distance, 4),
        "lung_area": round(prediction.lung_area, 4),
        "expected_dice": round(prediction.expected_dice, 4),
        "width": width,
        "height": height,
        "film_hash": prediction.film_hash,
        "bundle": bundle[:12],
    }


def rejected(film: str, reason: str, classes: Sequence[str], bundle: str) -> Row:
    """The row of a rejected film, with the reason in one line."""
    short = " ".join(reason.removeprefix(f"{film}: ").split())
    return dict.fromkeys(columns(classes), "") | {
        "film": film, "reliable": "no", "rejected": short, "bundle": bundle[:12],
    }  # fmt: skip


def write_rows(path: Path, rows: Sequence[Row], classes: Sequence[str]) -> None:
    """Write the table as CSV."""
    stream = io.StringIO()
    names = columns(classes)
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    if any("\r" in str(row["film"]) for row in rows):  # the writer does not quote it by itself
        writer = csv.DictWriter(stream, names, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def _names(score: str, classes: Sequence[str]) -> list[str]:
    return [score] if len(classes) == 2 else [f"{score}_{name}" for name in classes]


def _rounded(score: str, classes: Sequence[str], values: Sequence[float]) -> Row:
    return {name: round(value, DIGITS) for name, value in zip(_names(score, classes), values, strict=True)}
