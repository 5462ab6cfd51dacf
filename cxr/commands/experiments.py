"""Commands about experiments: metrics without a model, training noise over seeds, comparison of recipes."""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

from cxr.commands.parser import Commands
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)
METRICS, PLOTS, OPERATING_POINT = Path("metrics"), Path("plots"), Path("models/operating_point.json")


def add_experiment_commands(commands: Commands) -> None:
    """Add metrics, seeds, recipes and the cross-fitted evaluation."""
    commands.add("metrics", _metrics)

    seeds = commands.add("seeds", _seeds)
    seeds.add_argument("--count", type=int, default=5, help="seeds, from train.seed on (default: %(default)s)")

    recipes = commands.add("recipes", _recipes)
    recipes.add_argument("recipes", nargs="*", help="names in recipes.yaml; none = all")
    recipes.add_argument("--seeds", type=int, default=1, help="seeds per recipe, from train.seed on")
    _add_changes(recipes)
    recipes.add_argument("--out", type=Path, default=Path("reports/recipes.md"), help="table to write")

    crossfit = commands.add("crossfit", _crossfit)
    crossfit.add_argument("recipes", nargs="*", default=["default"], help="names in recipes.yaml (default: default)")
    crossfit.add_argument("--seeds", type=int, default=1, help="seeds per recipe, from train.seed on")
    _add_changes(crossfit)

    of_crossfit = commands.add("crossfit-metrics", _crossfit_metrics)
    of_crossfit.add_argument("table", type=Path, nargs="?", help="predictions (default: metrics/crossfit.csv)")

    audit = commands.add("label-audit", _label_audit)
    audit.add_argument("recipe", nargs="?", default="default", help="name in recipes.yaml (default: default)")
    audit.add_argument("--films", type=int, default=36, help="films on the sheet (default: %(default)s)")
    audit.add_argument("--out", type=Path, default=Path("reports/label_audit"), help="folder (default: %(default)s)")
    _add_changes(audit)


def _add_changes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-S", "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change for every recipe"
    )


def _metrics(_: argparse.Namespace) -> None:
    """Recompute metrics.json and the curves from predictions.csv.

    Fits the operating point on the validation rows with the current parameters. Needs no images, model or GPU.
    """
    from cxr.core.config import load_section
    from cxr.decision.operating_point import read_operating_point
    from cxr.evaluate.config import EvaluateSection
    from cxr.evaluate.curves import write_plots
    from cxr.evaluate.results import DETAILS, EARLIER, evaluation_result
    from cxr.evaluate.table import check_operating_point, check_predictions, read_predictions

    section = load_section("evaluate", EvaluateSection)
    old = read_operating_point(OPERATING_POINT)
    where = METRICS / "predictions.csv"
    table = read_predictions(where)
    check_predictions(table, old.classes, str(where))
    check_operating_point(table, old, str(OPERATING_POINT))
    earlier = {name: _details(METRICS / DETAILS / f"{name}.json") for name in EARLIER}
    result = evaluation_result(table, old.classifier, old.classes, section, earlier, str(where))
    result.write(METRICS, OPERATING_POINT)
    write_plots(PLOTS, result.table, result.operating_point, section.prevalence)
    if result.operating_point != old:
        log.warning("the operating point changed; Grad-CAM pictures show the earlier one until `dvc repro evaluate`")


def _details(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CxrError(f"{path}: not readable; run `dvc repro evaluate` first") from error


def _seeds(options: argparse.Namespace) -> None:
    """Train the current settings with several seeds and write the training noise to metrics/seeds.json.

    Each seed is a DVC experiment of the last commit with the edits of the workspace. `dvc exp show` lists them, and
    `python -m cxr compare main~seeds …` uses them. Finished experiments are not repeated; an interrupted call resumes.
    """
    from cxr.report.experiments import run_seeds

    run_seeds(options.count)


def _recipes(options: argparse.Namespace) -> None:
    """Train recipes of recipes.yaml and compare them on shifted films.

    Each recipe and seed is a DVC experiment of the last commit with the edits of the workspace. Finished experiments
    are not repeated. The table has columns for plain validation, its corrupted and swapped copies, the bias-conflicting
    validation films, and the test films. With a label file of `python -m cxr holdout`, the test films are
    bias-conflicting films that no recipe trained on: select recipes on them. Kendall's tau measures how well each other
    column ranks the recipes as the test films do. The last row is a baseline: logistic regression on HOG features.
    """
    from cxr.report.experiments import run_recipes

    run_recipes(options.recipes, options.seeds, options.set, options.out)


def _crossfit(options: argparse.Namespace) -> None:
    """Score each film with a network that never saw its patient.

    Trains each recipe and seed on five folds, cut by patient and stratified by class. Each fold is a DVC experiment of
    the last commit with the edits of the workspace. Finished folds are not repeated; an interrupted call resumes. The
    predictions go to metrics/crossfit.csv; `python -m cxr crossfit-metrics` evaluates them. Test films are not scored.
    """
    from cxr.report.crossfit import run_crossfit

    run_crossfit(options.recipes, options.seeds, options.set)


def _crossfit_metrics(options: argparse.Namespace) -> None:
    """Print the metrics of cross-fitted predictions.

    Recipes on all films and on the bias-conflicting ones, with 95 % CI over patients; the operating point fitted on the
    other folds with weights that hide acquisition, against threshold 0.5; and each recipe against the first. The
    classes are those of data.classes in params.yaml.
    """
    from cxr.core.config import load_section
    from cxr.evaluate.config import EvaluateSection
    from cxr.ingest.config import DataSection
    from cxr.report.crossfit_table import CROSSFIT, read_crossfit
    from cxr.report.crossfit_text import crossfit_text

    table = read_crossfit(options.table or CROSSFIT)
    section = load_section("evaluate", EvaluateSection)
    print(crossfit_text(table, load_section("data", DataSection).classes, section), end="")


def _label_audit(options: argparse.Namespace) -> None:
    """List films whose label contradicts the cross-fitted predictions, for a person to read again.

    Takes the folds of a finished `crossfit` with the same options. Writes a sheet of the most certain contradictions,
    with lungs and heat map, and labels.csv: all films, the suspected ones first. Correct its column `label`, or delete
    the row; put the file into data.root and set data.layout: csv. Nothing is relabelled automatically.
    """
    from cxr.report.label_audit import audit_labels

    audit_labels(options.recipe, options.set, options.out, options.films)
