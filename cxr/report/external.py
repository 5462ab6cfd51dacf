"""A frozen bundle on labelled films from elsewhere: labels, metrics, drift."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from cxr.acquisition.statistics import STATISTICS, Floats
from cxr.bundle.config import InferenceConfig
from cxr.bundle.reference import Reference
from cxr.core.errors import CxrError
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.results import split_block
from cxr.evaluate.table import LOGIT, put_decisions
from cxr.ingest.labels import class_of, unknown_labels
from cxr.ingest.names import FilmNames
from cxr.ingest.table import read_table
from cxr.predict.batch import Record
from cxr.report.tables import Rows, cell, markdown, title

log = logging.getLogger(__name__)
PATIENT, LABEL, PATH = "patient_id", "label", "path"
SPLIT = "test"


def from_folders(films: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """Labels of films that lie in class folders (…/NORMAL/a.jpeg): columns film and label.

    Raises:
        CxrError: a film lies under no folder named like a class.
    """
    by_name = {name.lower(): name for name in classes}
    rows = []
    for film in films:
        found = [by_name[part.lower()] for part in PurePosixPath(film).parts[:-1] if part.lower() in by_name]
        if not found:
            raise CxrError(
                f"{film}: no folder named {' or '.join(classes)} above it, in any case; "
                "move the films into such folders, or give --labels with columns path and label"
            )
        rows.append({"film": film, LABEL: found[-1]})
    return pd.DataFrame(rows)


def from_csv(path: str, films: Sequence[str], classes: Sequence[str]) -> pd.DataFrame:
    """Labels from a table with columns path and label, and others such as patient_id: one row per film that it names.

    A path matches the end of a film's address, its file name, or its file name without suffix. A label is the name of a
    class, in any case, or its index. Films that the file does not name are left out.

    Raises:
        CxrError: the file cannot be read, lacks a column, names no film or two films at once, or has labels that are
            no class, or two labels for one film.
    """
    table = read_table(Path(path))
    columns = {name: table.column(name) for name in (PATH, LABEL, PATIENT)}
    for name in (PATH, LABEL):
        if columns[name] is None:
            raise CxrError(f"{path}: {table.no_column(name)}; name yours {name!r} in the header")
    rows: dict[str, dict[str, str]] = {}
    names, unknown, lost = FilmNames(films), Counter[str](), list[str]()
    for line, row in zip(table.lines, table.rows, strict=True):
        given = {name: row[column] for name, column in columns.items() if column}
        meant = names.find(given[PATH])
        if len(meant) > 1:
            raise CxrError(f"{path}:{line}: {given[PATH]!r} is {meant[0]} or {meant[1]}; give the path of the film")
        if not meant:
            lost.append(f"{path}:{line} {given[PATH]!r}")
            continue
        label = class_of(given[LABEL], classes)
        if label is None:
            unknown[given[LABEL]] += 1
        others = {name: value for name, value in row.items() if name not in columns.values()}
        own = {**others, **given, LABEL: label or "", "film": meant[0]}
        if rows.setdefault(meant[0], own)[LABEL] != own[LABEL]:
            raise CxrError(f"{path}:{line}: {meant[0]} has two labels; keep one")
    if unknown:
        raise CxrError(
            f"{path}: {unknown_labels(unknown, classes)}; write one of them in each row, and remove rows of other films"
        )
    if not rows:
        first = table.rows[0][str(columns[PATH])] if table.rows else ""
        raise CxrError(f"{path}: names none of the {len(films)} films, its first is {first!r}; correct --films or path")
    if lost:
        log.warning("%d rows name none of the films and are skipped, such as %s; check --films", len(lost), lost[0])
    if len(rows) < len(films):
        log.warning("%d of %d films have no row in %s and no label", len(films) - len(rows), len(films), path)
    return pd.DataFrame(list(rows.values())).drop(columns=PATH)


def patients(table: pd.DataFrame, pattern: str) -> "pd.Series[str]":
    """The patient of each film: the column patient_id, else the match of the pattern in its address, else the film."""
    if PATIENT in table.columns:
        return table[PATIENT].where(table[PATIENT] != "", table["film"])
    if not pattern:
        return table["film"]
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise CxrError(f"--patient {pattern!r}: not a regular expression: {error}") from error
    found = [expression.search(film) for film in table["film"]]
    return pd.Series(
        [film if one is None else one[min(one.re.groups, 1)] for film, one in zip(table["film"], found, strict=True)]
    )


def labelled_table(records: Sequence[Record], labels: pd.DataFrame, patients: "pd.Series[str]") -> pd.DataFrame:
    """Films with a prediction and a label, as evaluation's table of predictions.

    Args:
        records: of all films.
        labels: columns film, label and any others.
        patients: the patient of each row of `labels`.
    """
    rows = pd.DataFrame([record.row for record in records])
    answered = rows[rows["rejected"] == ""]
    own = labels.assign(patient_id=patients.to_numpy(), image_id=labels["film"], split=SPLIT)
    scores = [name for name in answered.columns if name.startswith(LOGIT)]
    table = own.merge(answered[["film", *scores, "reliable"]], on="film", how="inner").drop(columns="film")
    return table.astype(dict.fromkeys(scores, float))


def frozen_metrics(table: pd.DataFrame, config: InferenceConfig, section: EvaluateSection) -> dict[str, Any]:
    """Metrics with 95 % CI of all labelled films, and of those without a reliability flag.

    Raises:
        CxrError: no labelled film has a prediction.
    """
    if table.empty:
        raise CxrError("no labelled film has a prediction; see the reasons in the column `rejected`")
    point = config.operating_point
    decided = put_decisions(table, point)
    reliable = decided[decided["reliable"] == "yes"].reset_index(drop=True)
    return {"all": split_block(decided, point, section), "reliable": split_block(reliable, point, section)}


def drift(records: Sequence[Record], reference: Reference) -> dict[str, dict[str, float]]:
    """Differences in acquisition between the films and the training films.

    For each statistic: both medians, the share of films outside the central 98 % of the training films, and the
    Kolmogorov-Smirnov distance between the two distributions (0 equal, 1 disjoint).
    """
    films = np.array([record.statistics for record in records if record.statistics])
    found = {}
    for at, name in enumerate(STATISTICS):
        now, then = np.sort(films[:, at]), reference.acquisition[:, at]
        outside = (now < then[1]) | (now > then[99])
        found[name] = {
            "training_median": float(then[50]),
            "median": float(np.median(now)),
            "outside": float(outside.mean()),
            "ks": _gap(now, then),
        }
    return found


def _gap(now: Floats, quantiles: Floats) -> float:
    """The Kolmogorov-Smirnov distance between sorted values and a distribution given by its 101 quantiles."""
    at = np.concatenate([now, quantiles])
    return float(np.abs(_share_up_to(at, now) - _share_up_to(at, quantiles)).max())


def _share_up_to(at: Floats, values: Floats) -> Floats:
    return np.searchsorted(values, at, side="right") / len(values)


def metrics_text(metrics: dict[str, Any]) -> str:
    """A table: each metric with its 95 % CI, of all films and of those without a flag."""
    blocks = [block for block in metrics.values() if block["films"]]
    names = [name.removesuffix("_low") for name in blocks[0] if name.endswith("_low")]
    header = [
        "metric, at the bundle's operating point",
        *(f"{name}, {metrics[name]['films']} films" for name in metrics),
    ]
    rows: Rows = [[title(name), *(cell(block, name) for block in metrics.values())] for name in names]
    if "counts" in blocks[0] and "tp" in blocks[0]["counts"]:
        rows.append(["TP / FP / FN / TN", *(_counts(block) for block in metrics.values())])
    return markdown(header, rows)


def drift_text(drift: dict[str, dict[str, float]]) -> str:
    """A table: each statistic of the films against the training films."""
    header = ["input", "training, median", "here, median", "outside the training range", "KS distance"]
    rows = [
        [name, f"{one['training_median']:.3g}", f"{one['median']:.3g}", f"{one['outside']:.0%}", f"{one['ks']:.2f}"]
        for name, one in drift.items()
    ]
    return markdown(header, rows)


def _counts(block: dict[str, Any]) -> str:
    return " / ".join(str(block["counts"][name]) for name in ("tp", "fp", "fn", "tn")) if block["films"] else "no films"
