"""Cross-fitted predictions: each film is scored by a network that never saw its patient."""

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from cxr.core.config import read_yaml
from cxr.core.files import digest, write_csv
from cxr.decision.operating_point import parse_operating_point
from cxr.evaluate.table import ACQUISITION, HOG, LOGIT, films_of, parse_predictions
from cxr.evaluate.task import task_of
from cxr.ingest.config import FOLDS
from cxr.report.crossfit_table import CROSSFIT, KEYS, check_folds
from cxr.report.experiments import RECIPES, chosen, experiment_exists, run_experiment, start
from cxr.report.revisions import OPERATING_POINT, PREDICTIONS, Revision

log = logging.getLogger(__name__)
DIGITS = 4  # decimals of the logits


def run_crossfit(names: Sequence[str], seeds: int, settings: Sequence[str], out: Path = CROSSFIT) -> pd.DataFrame:
    """Train recipes once per fold; write and return the predictions of the films of each fold.

    Args:
        names: recipes of recipes.yaml.
        seeds: number of seeds per recipe, from train.seed on; the folds are those of data.seed.
        settings: section.key=value, for every recipe.
        out: table to write, one row per recipe, seed and film.

    Raises:
        CxrError: a recipe does not exist, a run failed, or the folds share a patient.
    """
    recipes, parts = chosen(read_yaml(RECIPES), names), []
    for (recipe, seed), experiments in fold_experiments(recipes, seeds, settings).items():
        for fold, (name, changes) in enumerate(experiments):
            if not experiment_exists(name):
                log.info("%s, seed %d, fold %d of %d: training (experiment %s)", recipe, seed, fold, FOLDS, name)
                run_experiment(name, changes, stage="evaluate")
            parts.append(fold_rows(Revision(name), recipe, seed, fold))
        table = pd.concat(parts, ignore_index=True)
        check_folds(table)
        write_csv(out, table)
        log.info("%s: %d films, with %s, seed %d", out, table["image_id"].nunique(), recipe, seed)
    return table


def fold_experiments(
    recipes: dict[str, dict[str, object]], seeds: int, settings: Sequence[str]
) -> dict[tuple[str, int], list[tuple[str, list[str]]]]:
    """For each recipe and seed the experiments of the folds: name, and changes to params.yaml."""
    key, first = start()
    found = {}
    for seed in range(first, first + seeds):  # one seed of all recipes, then the next seed
        for recipe, changes in recipes.items():
            changed = [*(f"{name}={value}" for name, value in changes.items()), *settings, f"train.seed={seed}"]
            stem = f"crossfit-{recipe}-{digest(key.encode(), *map(str.encode, changed))[:8]}-{seed}"
            found[recipe, seed] = [(f"{stem}-{fold}", [*changed, f"data.fold={fold}"]) for fold in range(FOLDS)]
    return found


def fold_rows(revision: Revision, recipe: str, seed: int, fold: int) -> pd.DataFrame:
    """The validation films of one fold with the logits of its network and of both baselines, where these exist."""
    table = parse_predictions(revision.text(PREDICTIONS), f"{revision.name}: {PREDICTIONS}")
    classes = parse_operating_point(revision.text(OPERATING_POINT), f"{revision.name}: {OPERATING_POINT}").classes
    columns = [name for score in (LOGIT, ACQUISITION, HOG) for name in task_of(classes).columns(score)]
    films = films_of(table, "val").assign(recipe=recipe, seed=seed, fold=fold)
    return films[[*KEYS, *(name for name in columns if name in films)]].round(DIGITS)
