"""Films whose label contradicts the cross-fitted predictions, for a person to read again."""

import logging
import tempfile
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxr.core.config import read_yaml
from cxr.core.errors import CxrError
from cxr.core.files import write_csv
from cxr.decision.operating_point import calibrated
from cxr.evaluate.intervals import Bools, Floats, Indices
from cxr.evaluate.pictures import ORANGE, Panel, draw_panels, heat_maps
from cxr.evaluate.table import LOGIT, labels, scores
from cxr.evaluate.task import task_of
from cxr.films.manifest import Record, read_manifest
from cxr.models.classifier import load_classifier
from cxr.npz.films import INDEX, read_index, read_npz
from cxr.report.crossfit import fold_experiments, fold_rows
from cxr.report.crossfit_table import check_folds, out_of_fold
from cxr.report.experiments import RECIPES, chosen, experiment_exists
from cxr.report.revisions import Revision

log = logging.getLogger(__name__)
MANIFEST, NPZ, CHECKPOINT = "data/manifest.csv", "data/npz", "models/classifier.ckpt"
LABELS, SHEET = "labels.csv", "sheet.png"


def audit_labels(recipe: str, settings: Sequence[str], out: Path, films: int) -> None:
    """Write labels.csv and sheet.png of a cross-fitted recipe into `out`.

    labels.csv is a label file for `data.layout: csv` with all films of the cohort. The suspected ones come first, the
    most certain first, with the class that the predictions suggest. No label is changed.

    Args:
        recipe: name in recipes.yaml.
        settings: section.key=value, as for crossfit.
        out: folder.
        films: number of films on the sheet.

    Raises:
        CxrError: a fold has not been trained, or its files are no longer in DVC's cache.
    """
    experiments = next(iter(fold_experiments(chosen(read_yaml(RECIPES), [recipe]), 1, settings).values()))
    for name, _ in experiments:
        if not experiment_exists(name):
            raise CxrError(f"experiment {name}: not trained; run `python -m cxr crossfit` with the same options first")
    folds = [Revision(name) for name, _ in experiments]
    with tempfile.TemporaryDirectory() as temporary:
        records, order = read_manifest(folds[0].fetch(MANIFEST, Path(temporary) / "manifest.csv"))
    classes = tuple(order)
    rows = pd.concat([fold_rows(one, recipe, 0, fold) for fold, one in enumerate(folds)], ignore_index=True)
    check_folds(rows)
    found = suspected(rows, classes)
    table = label_file(records, found, Path(folds[0].parameters()["data"]["root"]))
    draw_sheet(out / SHEET, found.head(films), folds, classes)
    write_csv(out / LABELS, table)
    log.info("%d of %d labels contradict the predictions; see %s", len(found), len(rows), out)


def suspected(rows: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """The rows whose label is an issue, with columns `suggested` and `self_confidence`, least confident first."""
    fitted, _ = out_of_fold(rows, classes, "fixed", weighted=False)
    probability = calibrated(scores(fitted, LOGIT, classes), 1.0)
    if probability.ndim == 1:
        probability = np.column_stack([1 - probability, probability])
    label = labels(rows, classes)
    suggested, issue = label_issues(probability, label)
    found = rows.assign(
        suggested=[classes[index] for index in suggested],
        self_confidence=probability[np.arange(len(label)), label].round(4),
    )
    return found[issue].sort_values(["self_confidence", "image_id"], kind="stable", ignore_index=True)


def label_issues(probability: Floats, label: Indices) -> tuple[Indices, Bools]:
    """The class that each film is confidently of, and whether it is another than its label (confident learning).

    A film is confidently of a class if its probability reaches the mean probability of that class over the films with
    that label; of several such classes, of the likeliest. These are the off-diagonal films of the confident joint
    (Northcutt, Jiang, Chuang 2021, J. Artif. Intell. Res. 70, 1373-1411).

    Args:
        probability: out-of-fold, (films, classes).
        label: class indices (films,); each class has films.
    """
    threshold = np.array([probability[label == place, place].mean() for place in range(probability.shape[1])])
    confident = np.where(probability >= threshold, probability, -1.0)
    suggested = np.where(confident.max(axis=1) < 0, label, confident.argmax(axis=1))
    return np.asarray(suggested, np.int64), np.asarray(suggested != label)


def label_file(records: Sequence[Record], found: pd.DataFrame, root: Path) -> pd.DataFrame:
    """The label file: suspected films first, then the others; paths are relative to `root`, only test has a split."""
    table = pd.DataFrame([_row(record, root) for record in records])
    suggestions = found.set_index("image_id")[["suggested", "self_confidence"]]
    joined = table.join(suggestions, on="image_id").sort_values(["self_confidence", "image_id"], kind="stable")
    return joined.drop(columns="image_id")


def _row(record: Record, root: Path) -> dict[str, str]:
    path = Path(record.path)
    if not path.is_relative_to(root):
        raise CxrError(f"{record.path}: not inside {root}, so no label file can name it; use a folder of films")
    split = "test" if record.split == "test" else ""
    names = {"path": path.relative_to(root).as_posix(), "label": record.label, "patient_id": record.patient_id}
    return {"image_id": record.image_id, **names, "split": split, **record.attributes}


def draw_sheet(path: Path, found: pd.DataFrame, folds: Sequence[Revision], classes: tuple[str, ...]) -> None:
    """Draw films with lungs and the heat map of the network that did not see them, in the order of `found`."""
    panels: dict[str, Panel] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for fold, films in found.groupby("fold"):
            revision, folder = folds[int(str(fold))], Path(temporary) / str(fold)
            classifier = load_classifier(revision.fetch(CHECKPOINT, folder / "classifier.ckpt"))
            revision.fetch(f"{NPZ}/{INDEX}", folder / INDEX)
            files = {row.image_id: row.file for row in read_index(folder) if row.split == "val"}
            wanted = [files[name] for name in films["image_id"]]
            images = [read_npz(revision.fetch(f"{NPZ}/{file}", folder / file)).image for file in wanted]
            for row, image, heat in zip(films.to_dict("records"), images, heat_maps(classifier, images), strict=True):
                panels[row["image_id"]] = Panel(image, heat, _caption(row), ORANGE)
    shown = [panels[name] for name in found["image_id"]]
    evidence = f"evidence for {task_of(classes).evidence_for()} (yellow = most of the fold's films, no colour = none)"
    draw_panels(path, shown, f"Labels to read again: {evidence}, lungs in blue")


def _caption(row: dict[Hashable, Any]) -> str:
    name = str(row["image_id"])
    name = name if len(name) <= 26 else f"…{name[-25:]}"
    return f"{name}\nlabel {row['label']} (p = {row['self_confidence']:.2f})\nsuggested {row['suggested']}"
