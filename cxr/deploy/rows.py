"""predictions.csv of films that nobody has labelled: one row a film, answered or refused."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxr.core.files import write_text
from cxr.deploy.prediction import Prediction

Row = dict[str, Any]
DIGITS = 6


def columns(classes: Sequence[str]) -> list[str]:
    """The columns; scores are one for two classes, else one a class."""
    return [
        "film", "decision", *_names("probability", classes), "believable", "flags", "reasons", "refused",
        *_names("logit", classes), "distance", "lung_area", "lung_quality", "width", "height", "film_hash", "bundle",
    ]  # fmt: skip


def answered(prediction: Prediction, classes: Sequence[str], bundle: str) -> Row:
    """The row of a film that was read."""
    shown = [prediction.probability] if len(classes) == 2 else list(prediction.probabilities.values())
    width, height = prediction.film_size
    return {
        "film": prediction.name,
        "decision": prediction.decision,
        **_rounded("probability", classes, shown),
        "believable": "yes" if prediction.believable else "no",
        "flags": "|".join(flag.code for flag in prediction.flags),
        "reasons": "; ".join(flag.text for flag in prediction.flags),
        "refused": "",
        **_rounded("logit", classes, prediction.logits),
        "distance": round(prediction.distance, 4),
        "lung_area": round(prediction.lung_area, 4),
        "lung_quality": round(prediction.lung_quality, 4),
        "width": width,
        "height": height,
        "film_hash": prediction.film_hash,
        "bundle": bundle[:12],
    }


def refused(film: str, reason: str, classes: Sequence[str], bundle: str) -> Row:
    """The row of a film that could not be read, with the reason in one line."""
    short = " ".join(reason.removeprefix(f"{film}: ").split())
    return dict.fromkeys(columns(classes), "") | {
        "film": film, "believable": "no", "refused": short, "bundle": bundle[:12],
    }  # fmt: skip


def write_rows(path: Path, rows: Sequence[Row], classes: Sequence[str]) -> None:
    """Write the table as CSV."""
    stream = io.StringIO()
    names = columns(classes)
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    if any("\r" in str(row["film"]) for row in rows):  # which the writer does not quote by itself
        writer = csv.DictWriter(stream, names, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, stream.getvalue())


def _names(score: str, classes: Sequence[str]) -> list[str]:
    return [score] if len(classes) == 2 else [f"{score}_{name}" for name in classes]


def _rounded(score: str, classes: Sequence[str], values: Sequence[float]) -> Row:
    return {name: round(value, DIGITS) for name, value in zip(_names(score, classes), values, strict=True)}
