"""The table of cross-fitted predictions (metrics/crossfit.csv) and its metrics, out of fold."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq

from cxr.acquisition.score import ovr_auroc
from cxr.core.errors import CxrError
from cxr.decision.operating_point import OperatingPoint, calibrated
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.fit import choose_threshold, fit_temperature
from cxr.evaluate.intervals import Floats, Metrics, percentile_interval, resampled
from cxr.evaluate.robustness import acquisition_of, bias_conflicting_films
from cxr.evaluate.scored import ScoredFilms
from cxr.evaluate.table import LOGIT, labels, parse_predictions, put_scores, scores
from cxr.report.comparison import LEVEL, Comparison, Run, compare

CROSSFIT = Path("metrics/crossfit.csv")
KEYS = ["recipe", "seed", "fold", "image_id", "patient_id", "label"]
STEEPEST = 50.0  # tilt beyond which weights are not sought
COMPARED = ("sensitivity", "specificity", "balanced_accuracy", "ece")  # of two operating points
Classes = tuple[str, ...]


def check_folds(table: pd.DataFrame) -> None:
    """Raise CxrError if a patient is in two folds, or a film appears twice for a recipe and seed."""
    folds = table.groupby("patient_id")["fold"].nunique()
    if (folds > 1).any():
        raise CxrError(f"patient {folds.idxmax()} is in two folds; correct the patient ids and run crossfit again")
    twice = table.loc[table.duplicated(["recipe", "seed", "image_id"]), "image_id"]
    if len(twice):
        raise CxrError(f"film {twice.iloc[0]} appears twice; image ids must be unique")


def read_crossfit(path: Path = CROSSFIT) -> pd.DataFrame:
    """Read the table; raises CxrError when it is missing, empty, lacks a column, or its folds share a patient."""
    if not path.is_file():
        raise CxrError(f"{path}: no cross-fitted predictions; run `python -m cxr crossfit` first")
    table = parse_predictions(path.read_text(encoding="utf-8"), str(path))
    missing = [name for name in KEYS if name not in table.columns]
    if missing:
        raise CxrError(f"{path}: no column {missing[0]!r}; run `python -m cxr crossfit` again")
    table[["seed", "fold"]] = table[["seed", "fold"]].astype(int)
    check_folds(table)
    return table


def film_weights(films: pd.DataFrame, classes: Classes) -> Floats:
    """Weights (films,) with which acquisition no longer predicts the label: its AUROC is 0.5.

    A film's weight is exp(-tilt × acquisition logit of its own label), and each class has the same total weight.

    Raises:
        CxrError: no tilt gives an AUROC of 0.5, for instance because no film is bias-conflicting.
    """
    label, logits = acquisition_of(films, classes)
    own = logits[np.arange(len(label)), label]

    def tilted(tilt: float) -> Floats:
        exponent = -tilt * own
        weights = np.exp(exponent - exponent.max())
        return np.asarray(weights / np.bincount(label, weights)[label])

    def excess(tilt: float) -> float:
        return ovr_auroc(label, logits, tilted(tilt)) - 0.5

    if excess(0.0) <= 0:
        return tilted(0.0)
    if excess(STEEPEST) > 0:
        raise CxrError("no weights hide acquisition: it predicts every label; add bias-conflicting films")
    return tilted(float(brentq(excess, 0.0, STEEPEST, xtol=1e-6)))


def effective_films(weights: Floats) -> float:
    """The number of equally weighted films with the same precision (Kish 1965)."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def out_of_fold(films: pd.DataFrame, classes: Classes, rule: str, weighted: bool) -> tuple[pd.DataFrame, Floats]:
    """The films with calibrated logits, and the threshold of each film, both fitted on the other folds.

    Args:
        films: rows of one recipe and seed.
        classes: two or more.
        rule: as evaluate.threshold; 0.5 for three classes or more.
        weighted: fit with `film_weights` of the other folds.

    Raises:
        CxrError: the films are of one fold only.
    """
    if films["fold"].nunique() < 2:
        raise CxrError("cross-fitted predictions of one fold only; run `python -m cxr crossfit` to its end")
    logits, label = scores(films, LOGIT, classes), labels(films, classes)
    scaled, thresholds = np.empty_like(logits), np.full(len(films), 0.5)
    for fold in films["fold"].unique():
        own, others = (films["fold"] == fold).to_numpy(), (films["fold"] != fold).to_numpy()
        weights = film_weights(films[others], classes) if weighted else np.ones(int(others.sum()))
        temperature = fit_temperature(logits[others], label[others], weights).value
        scaled[own] = logits[own] / temperature
        if len(classes) == 2:
            positive = label[others].astype(np.float64)
            probability = calibrated(logits[others], temperature)
            thresholds[own] = choose_threshold(rule, positive, probability, weights[None])[0]
    fitted = films.copy()
    put_scores(fitted, LOGIT, classes, scaled)
    return fitted, thresholds


def point_of(name: str, films: pd.DataFrame, classes: Classes) -> OperatingPoint:
    """Temperature 1 and threshold 0.5, for logits that are already calibrated; `name` stands for the weights."""
    two = len(classes) == 2
    return OperatingPoint(
        name, classes, "fixed" if two else "argmax", 0.5 if two else None, None, None,
        1.0, "", "the other folds", len(films), int(films["patient_id"].nunique()),
    )  # fmt: skip


def runs_of(table: pd.DataFrame, classes: Classes) -> dict[str, list[Run]]:
    """One run per seed for each recipe, calibrated out of fold without weights."""
    found: dict[str, list[Run]] = {}
    for (recipe, seed), films in table.groupby(["recipe", "seed"], sort=False):
        fitted, _ = out_of_fold(films.reset_index(drop=True), classes, "fixed", weighted=False)
        point = point_of(f"{recipe} {seed}", films, classes)
        found.setdefault(str(recipe), []).append(Run(fitted.assign(split="val"), point))
    return found


def views_of(run: Run) -> dict[str, pd.DataFrame]:
    """All films of a run, and the bias-conflicting ones among them."""
    return {"all": run.table, "bias-conflicting": bias_conflicting_films(run.table, run.point.classes)}


def compared_views(a: Sequence[Run], b: Sequence[Run], section: EvaluateSection) -> dict[str, Comparison]:
    """B against A on each view of the films that all runs have; A's first run decides which films conflict."""
    found = {}
    common = set.intersection(*(set(run.table["image_id"]) for run in (*a, *b)))
    shared = Run(a[0].table[a[0].table["image_id"].isin(common)], a[0].point)
    for view, films in views_of(shared).items():
        shown = set(films["image_id"])
        of_a, of_b = ([Run(one.table[one.table["image_id"].isin(shown)], one.point) for one in runs] for runs in (a, b))
        found[view] = compare(of_a, of_b, "val", section)
    return found


def compared_points(films: pd.DataFrame, classes: Classes, section: EvaluateSection) -> dict[str, list[float]]:
    """On bias-conflicting films: each metric at threshold 0.5, at the weighted operating point, and the difference.

    Args:
        films: rows of one recipe and seed, two classes.
        classes: names.
        section: resamples and their seed.

    Returns:
        By metric: first value, second value, and the 95 % CI over patients of second minus first.
    """
    chosen = films["image_id"].isin(set(bias_conflicting_films(films, classes)["image_id"])).to_numpy()
    measured = []
    for rule, weighted in (("fixed", False), ("youden", True)):
        fitted, thresholds = out_of_fold(films, classes, rule, weighted)
        view = fitted[chosen].reset_index(drop=True)
        measured.append(ScoredFilms(view, point_of("", films, classes), threshold=thresholds[chosen]))
    first, second = measured

    def gap(weights: Floats) -> Metrics:
        of_first, of_second = first.measure(weights), second.measure(weights)
        return {name: of_second[name] - of_first[name] for name in COMPARED}

    gaps = resampled(gap, first.patients, section.resamples, section.seed)
    of_first, of_second = first.point_estimates(), second.point_estimates()
    missing = (np.nan, np.nan)
    return {
        name: [of_first[name], of_second[name], *(percentile_interval(gaps[name], 1 - LEVEL) or missing)]
        for name in COMPARED
    }
