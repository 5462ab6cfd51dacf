"""The metrics of cross-fitted predictions as Markdown."""

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

import pandas as pd

from cxr.acquisition.score import ovr_auroc
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.robustness import acquisition_of, hog_films
from cxr.evaluate.scored import Block, ScoredFilms
from cxr.evaluate.table import ACQUISITION, with_score
from cxr.evaluate.task import task_of
from cxr.report.comparison import Run
from cxr.report.crossfit_table import (
    Classes,
    compared_points,
    compared_views,
    effective_films,
    film_weights,
    runs_of,
    views_of,
)
from cxr.report.tables import markdown, title

BINARY_METRICS = ("auroc", "sensitivity", "specificity", "ece")
CLASS_METRICS = ("macro_auroc", "accuracy", "ece")
POINTS = ("fixed 0.5", "weighted")


def crossfit_text(table: pd.DataFrame, classes: Classes, section: EvaluateSection) -> str:
    """All tables: views, operating points, and each recipe against the first."""
    runs = runs_of(table, classes)
    parts = [views_text(runs)]
    first = next(iter(runs.values()))[0]
    if not views_of(first)["bias-conflicting"].empty:
        parts.append(acquisition_text(first))
        if len(classes) == 2:
            parts.append(points_text(table, classes, section))
    if len(runs) > 1:
        parts.append(recipes_text(runs, section))
    return "\n\n".join(parts) + "\n"


def views_text(runs: Mapping[str, Sequence[Run]]) -> str:
    """Each recipe on all films and on the bias-conflicting ones: 95 % CI of one seed, or mean ± SD over seeds."""
    names = BINARY_METRICS if len(next(iter(runs.values()))[0].point.classes) == 2 else CLASS_METRICS
    rows = []
    for recipe, several in runs.items():
        for view in views_of(several[0]):
            shown = [views_of(run)[view] for run in several]
            blocks = [_metrics(films, run, names) for films, run in zip(shown, several, strict=True)]
            rows.append([recipe, str(len(several)), *_films(view, shown[0]), *(_cell(blocks, name) for name in names)])
    first = next(iter(runs.values()))[0]
    for view, films in views_of(first).items():
        hog = hog_films(films, first.point) if len(films) else None
        if hog is not None:
            block = hog.with_intervals(names)
            rows.append(["HOG features", "–", *_films(view, films), *(_cell([block], name) for name in names)])
    return markdown(["recipe", "seeds", "view", "films", "patients", *map(title, names)], rows)


def acquisition_text(run: Run) -> str:
    """How well acquisition predicts the label, and the effective number of films with weights that hide it."""
    classes = run.point.classes
    films = with_score(run.table, ACQUISITION, classes)
    label, logits = acquisition_of(films, classes)
    weights = film_weights(films, classes)
    return (
        f"Acquisition AUROC: {ovr_auroc(label, logits):.3f}, and {ovr_auroc(label, logits, weights):.3f} with weights; "
        f"with these the {len(films)} films count as {effective_films(weights):.0f}."
    )


def points_text(table: pd.DataFrame, classes: Classes, section: EvaluateSection) -> str:
    """Threshold 0.5 against the weighted operating point, on bias-conflicting films."""
    rows = []
    for (recipe, seed), films in table.groupby(["recipe", "seed"], sort=False):
        found = compared_points(films.reset_index(drop=True), classes, section)
        rows += [
            [str(recipe), str(seed), title(name), f"{first:.3f}", f"{second:.3f}", _gap(first, second, low, high)]
            for name, (first, second, low, high) in found.items()
        ]
    return markdown(["recipe", "seed", "bias-conflicting films", *POINTS, "difference"], rows)


def recipes_text(runs: Mapping[str, Sequence[Run]], section: EvaluateSection) -> str:
    """Each recipe minus the first, on the same films."""
    (base, first), *others = runs.items()
    rows = []
    for recipe, several in others:
        for view, found in compared_views(first, several, section).items():
            names = BINARY_METRICS if len(first[0].point.classes) == 2 else CLASS_METRICS
            rows += [
                [f"{recipe} − {base}", view, title(one.name), f"{one.a:.3f}", f"{one.b:.3f}",
                 _gap(one.a, one.b, one.low, one.high), one.verdict or "one seed: no verdict"]
                for one in found.differences
                if one.name in names
            ]  # fmt: skip
    return markdown(["recipes", "view", "metric", "before", "after", "difference", "verdict"], rows)


def _metrics(films: pd.DataFrame, run: Run, names: tuple[str, ...]) -> Block:
    if films.empty:
        return {task_of(run.point.classes).main_metric: None}
    return ScoredFilms(films, run.point).with_intervals(names)


def _films(view: str, films: pd.DataFrame) -> list[str]:
    return [view, str(len(films)), str(films["patient_id"].nunique())]


def _cell(blocks: Sequence[Block], name: str) -> str:
    values = [block[name] for block in blocks if block.get(name) is not None]
    if len(values) < len(blocks):
        return "–"
    if len(values) > 1:
        return f"{fmean(values):.3f} ± {stdev(values):.3f}"
    low, high = (blocks[0].get(f"{name}_{end}") for end in ("low", "high"))
    return f"{values[0]:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


def _gap(first: float, second: float, low: float, high: float) -> str:
    interval = f" [{low:+.3f}, {high:+.3f}]" if low == low else ""
    return f"{second - first:+.3f}{interval}"
