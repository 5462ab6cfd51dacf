"""The table of predictions (metrics/predictions.csv): columns, splits, scores, checks."""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from cxr.core.errors import CxrError
from cxr.core.files import write_csv
from cxr.decision.operating_point import OperatingPoint
from cxr.evaluate.intervals import Floats, Indices
from cxr.evaluate.task import task_of

SPLIT_NAMES = {"test": "test", "val": "validation"}
LOGIT = "logit"
LUNGS_MASKED = "lungs_masked_logit"  # the same model on films with masked lungs
LUNGS_ONLY = "lungs_only_logit"  # the same model on films with lungs only
HOG = "hog_logit"  # logistic regression on HOG and histogram features
HOG_LUNGS_MASKED = "hog_lungs_masked_logit"  # the same, fitted and scored on films with masked lungs
ACQUISITION = "acquisition_logit"  # logistic regression on acquisition features; validation only
LUNG_SHARE = "lung_share"  # of the Grad-CAM mass, 0..1
LUNG_AREA = "lung_area"  # share of the film in the mask, 0..1: the lung share of evenly spread evidence
OLDER = ("lungs_removed_logit", "baseline_logit", "surroundings_logit")  # names of three of these until 732980e
REQUIRED = ("image_id", "patient_id", "split", "label")
DIGITS = 6  # decimals; a table that is read back gives the same metrics


def reported_split(table: pd.DataFrame) -> str:
    """`test`, or `val` where the cohort has no test films."""
    return "test" if bool((table["split"] == "test").any()) else "val"


def films_of(table: pd.DataFrame, split: str) -> pd.DataFrame:
    """The films of a split."""
    return table[table["split"] == split].reset_index(drop=True)


def with_score(table: pd.DataFrame, score: str, classes: tuple[str, ...]) -> pd.DataFrame:
    """The films that have the score; none where the table lacks its columns."""
    columns = task_of(classes).columns(score)
    if any(name not in table.columns for name in columns):
        return table.iloc[:0]
    return table[table[columns].notna().all(axis=1)].reset_index(drop=True)


def scores(table: pd.DataFrame, score: str, classes: tuple[str, ...]) -> Floats:
    """A score as an array: (films,) for two classes, (films, classes) for more."""
    task = task_of(classes)
    return task.array(table[task.columns(score)].to_numpy(np.float64))


def put_scores(table: pd.DataFrame, score: str, classes: tuple[str, ...], values: Floats) -> None:
    """Add a score, (films,) or (films, classes), to the table, rounded."""
    columns = task_of(classes).columns(score)
    for name, column in zip(columns, values.reshape(len(table), len(columns)).T, strict=True):
        table[name] = np.round(column.astype(np.float64), DIGITS)


def labels(table: pd.DataFrame, classes: tuple[str, ...]) -> Indices:
    """Class index of each film, (films,); raises CxrError for a label that is no class."""
    unknown = sorted(set(table["label"]) - set(classes))
    if unknown:
        raise CxrError(f"label {unknown[0]!r} is none of the classifier's classes {', '.join(classes)}")
    place = {name: index for index, name in enumerate(classes)}
    return np.array([place[name] for name in table["label"]], dtype=np.int64)


def put_decisions(table: pd.DataFrame, point: OperatingPoint) -> pd.DataFrame:
    """The table with columns of calibrated probabilities and decisions after the logits."""
    probability = point.probability(scores(table, LOGIT, point.classes))
    decided = table.copy()
    put_scores(decided, "probability", point.classes, probability)
    decided["decision"] = [point.classes[index] for index in point.decide(probability)]
    task = task_of(point.classes)
    added = [*task.columns("probability"), "decision"]
    rest = [name for name in decided.columns if name not in added]
    at = rest.index(task.columns(LOGIT)[-1]) + 1
    return decided[[*rest[:at], *added, *rest[at:]]]


def check_predictions(table: pd.DataFrame, classes: tuple[str, ...], where: str) -> None:
    """Raise CxrError if a column is missing, a film appears twice or a logit is not finite."""
    columns = task_of(classes).columns(LOGIT)
    missing = [name for name in (*REQUIRED, *columns) if name not in table.columns]
    if missing:
        raise CxrError(f"{where}: no column {missing[0]!r}; run `dvc repro evaluate` again")
    twice = table.loc[table["image_id"].duplicated(), "image_id"]
    if len(twice):
        raise CxrError(f"{where}: film {twice.iloc[0]} appears twice; image ids must be unique")
    bad = table.loc[~np.isfinite(table[columns].to_numpy(np.float64)).all(axis=1), "image_id"]
    if len(bad):
        raise CxrError(
            f"{where}: no finite logit for {len(bad)} of {len(table)} films "
            f"(first: {bad.iloc[0]}); the weights have diverged: lower train.lr and train again"
        )


def check_operating_point(table: pd.DataFrame, point: OperatingPoint, where: str) -> None:
    """Raise CxrError if the decisions of the table are not those of the operating point."""
    columns = [*task_of(point.classes).columns("probability"), "decision"]
    if any(name not in table.columns for name in columns):
        raise CxrError(f"{where}: no column {columns[0]!r} or 'decision'; run `dvc repro evaluate` again")
    again = put_decisions(table, point)
    differs = (table[columns[:-1]] - again[columns[:-1]]).abs().max(axis=1) > 1e-5
    other = table.loc[differs | (table["decision"] != again["decision"]), "image_id"]
    if len(other):
        raise CxrError(
            f"{where}: {len(other)} films (first: {other.iloc[0]}) were not decided by the operating point of "
            f"classifier {point.classifier[:12]}; run `dvc repro evaluate`, which writes both"
        )


def write_predictions(path: Path, table: pd.DataFrame) -> None:
    """Write the table as CSV."""
    write_csv(path, table)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read the table; ids, labels and attributes as text. Raises CxrError when it is missing, empty or older."""
    if not path.is_file():
        raise CxrError(f"{path}: no predictions; run `dvc repro evaluate` first")
    table = parse_predictions(path.read_text(encoding="utf-8"), str(path))
    old = older_columns(table)
    if old:
        raise CxrError(f"{path}: column {old[0]!r} of commit 732980e or older; run `dvc repro evaluate` again")
    return table


def older_columns(table: pd.DataFrame) -> list[str]:
    """Column names of an older version."""
    return [name for name in OLDER if name in table.columns]


def parse_predictions(text: str, where: str) -> pd.DataFrame:
    """As `read_predictions`, from the text of the file."""
    table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)
    if table.empty:
        raise CxrError(f"{where}: no films; run `dvc repro evaluate` again")
    for name in table.columns:
        if is_number(str(name)):
            table[name] = pd.to_numeric(table[name].replace("", np.nan))
    return table


def is_number(column: str) -> bool:
    """Whether a column holds numbers: scores, probabilities, the lung share and its chance level."""
    return column in (LUNG_SHARE, LUNG_AREA) or column.startswith(
        (LOGIT, LUNGS_MASKED, LUNGS_ONLY, HOG, HOG_LUNGS_MASKED, ACQUISITION, "probability")
    )
