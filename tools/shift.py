"""The recipes of recipes.yaml on films that were taken differently: python -m tools.shift default lungs --seeds 3.

Each recipe and seed is a DVC experiment of the last commit with the edits of the workspace; what is finished is not run
again. Validation films of the same source tell little: the table shows them beside their corrupted and swapped copies,
the validation films whose acquisition speaks against their label, and the test films. With the labels of
`tools.hold_out` the test films are conflicting films that no recipe trained on; they decide. Kendall's tau says how far
the other columns rank the recipes as the test films do. The last row is the peer that a network must beat: logistic
regression on HOG features of the films of the first recipe.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy.stats import kendalltau

from cxr.core.config import PARAMS_FILE, read_yaml
from cxr.core.errors import CxrError, did_you_mean
from cxr.core.files import digest, write_text
from cxr.report.experiments import experiment_exists, run_experiment, settings_key
from cxr.report.revisions import METRICS, Revision
from cxr.runtime.console import run_stage

log = logging.getLogger(__name__)
RECIPES = Path("recipes.yaml")
SHIFT, CHECKS = "metrics/details/shift.json", "metrics/details/checks.json"
HOG = "auroc_hog"
VIEWS = {"plain": "validation", "corrupted": "corrupted", "swapped": "swapped", "conflicting": "conflicting"}
Block = dict[str, Any]


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, print the table and write it to --out."""
    parser = argparse.ArgumentParser(prog="python -m tools.shift", description=__doc__)
    parser.add_argument("recipes", nargs="*", help="names in recipes.yaml; none = all")
    parser.add_argument("--seeds", type=int, default=1, help="of each recipe, from train.seed on")
    parser.add_argument(
        "-S", "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="for every recipe"
    )
    parser.add_argument("--out", type=Path, default=Path("reports/shift.md"))
    options = parser.parse_args(arguments)
    recipes = chosen(read_yaml(RECIPES), options.recipes)
    params = read_yaml(PARAMS_FILE)
    key, first = settings_key(params, read_yaml(Path("dvc.yaml"))), int(params["train"]["seed"])
    rows: dict[str, list[Block]] = {}
    for seed in range(first, first + options.seeds):  # all recipes with one seed before any with the next
        for recipe, changes in recipes.items():
            settings = [*(f"{name}={value}" for name, value in changes.items()), *options.set, f"train.seed={seed}"]
            name = f"shift-{recipe}-{digest(key.encode(), *map(str.encode, settings))[:8]}-{seed}"
            if not experiment_exists(name):
                log.info("%s, seed %d: training (experiment %s)", recipe, seed, name)
                run_experiment(name, settings)
            rows.setdefault(recipe, []).append(figures(Revision(name)))
    text = table(rows)
    print(text)
    write_text(options.out, text)


def chosen(recipes: dict[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The recipes of these names, all for none; raises CxrError for a name that recipes.yaml lacks."""
    for name in names:
        if name not in recipes:
            raise CxrError(f"{RECIPES}: no recipe {name!r}{did_you_mean(name, recipes)} ({', '.join(recipes)})")
    return {name: recipes[name] or {} for name in names or recipes}


def table(rows: dict[str, list[Block]]) -> str:
    """A markdown table: AUROC of each view, mean and spread over seeds; the first seed's interval where it is alone."""
    views = {**VIEWS, "test": "test"}
    lines = [
        f"| recipe | seeds | {' | '.join(views.values())} | test sensitivity | test specificity |",
        "|---|---:|" + "---|" * (len(views) + 2),
    ]
    for recipe, seeds in rows.items():
        cells = [_cell([seed.get(view) for seed in seeds], "auroc") for view in views]
        cells += [_cell([seed.get("test") for seed in seeds], name) for name in ("sensitivity", "specificity")]
        lines.append(f"| {recipe} | {len(seeds)} | {' | '.join(cells)} |")
    first = next(iter(rows.values()))[:1]
    if _mean([first[0].get("plain")], HOG) is not None:
        cells = [_cell([seed.get(view) for seed in first], HOG) for view in views]
        lines.append(f"| HOG features, {next(iter(rows))} | – | {' | '.join(cells)} | – | – |")
    judged = {name: [_mean([seed.get(name) for seed in seeds]) for seeds in rows.values()] for name in views}
    if len(rows) > 2 and None not in judged["test"]:
        lines += [
            "",
            f"Ranks the {len(rows)} recipes as the test films do (Kendall's tau, 1 = alike, -1 = in reverse):",
        ]
        for name in VIEWS:
            if None not in judged[name]:
                lines.append(f"- {VIEWS[name]}: {kendalltau(judged[name], judged['test']).statistic:.2f}")
    return "\n".join(lines) + "\n"


def figures(revision: Revision) -> Block:
    """Figures of each view and of the test films; of three classes or more, macro AUROC stands as AUROC."""
    shift, metrics, checks = revision.json(SHIFT), revision.json(METRICS), revision.json(CHECKS)
    test = metrics.get("test")
    if test and checks["split"] == "test":
        hog = checks["baselines"]["hog_logistic"]
        name = "macro_auroc" if "macro_auroc" in test else "auroc"
        test |= {f"{HOG}{end}": hog.get(f"{name}{end}") for end in ("", "_low", "_high")}
    views = {view: shift[view] for view in VIEWS} | {"test": test}
    return {
        view: block and {name.removeprefix("macro_"): block[name] for name in block} for view, block in views.items()
    }


def _mean(blocks: Sequence[Block | None], name: str = "auroc") -> float | None:
    values = [block[name] for block in blocks if block and block.get(name) is not None]
    return fmean(values) if len(values) == len(blocks) else None


def _cell(blocks: Sequence[Block | None], name: str) -> str:
    found = [block for block in blocks if block and block.get(name) is not None]
    if len(found) < len(blocks):
        return "–"
    values = [block[name] for block in found]
    if len(values) > 1:
        return f"{fmean(values):.3f} ± {stdev(values):.3f}"
    low, high = (found[0].get(f"{name}_{end}") for end in ("low", "high"))
    return f"{values[0]:.3f}" + (f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else "")


if __name__ == "__main__":
    run_stage(main)
