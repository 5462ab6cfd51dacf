"""DVC experiments with several seeds or recipes, and the tables of their metrics."""

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from scipy.stats import kendalltau

from cxr.core.config import PARAMS_FILE, read_yaml
from cxr.core.errors import CxrError, did_you_mean
from cxr.core.files import digest, write_json, write_text
from cxr.decision.operating_point import parse_operating_point
from cxr.report.comparison import SEEDS
from cxr.report.crossfit_table import CROSSFIT, read_crossfit, runs_of
from cxr.report.crossfit_text import views_text
from cxr.report.revisions import METRICS, OPERATING_POINT, Revision

log = logging.getLogger(__name__)
RECIPES = Path("recipes.yaml")
SHIFT, CHECKS = "metrics/details/shift.json", "metrics/details/checks.json"
HOG = "auroc_hog"
VIEWS = {
    "validation": "validation",
    "corrupted": "corrupted",
    "swapped": "swapped",
    "bias_conflicting": "bias-conflicting",
}
Scalars = dict[str, float]
Block = dict[str, Any]


def run_seeds(count: int) -> None:
    """Train with `count` seeds, from train.seed on, and write the training noise to metrics/seeds.json.

    Raises:
        CxrError: fewer than two seeds, or a run failed.
    """
    if count < 2:
        raise CxrError(f"--count: {count}; give two seeds or more")
    key, first = start()
    found: dict[str, Scalars] = {}
    for seed in range(first, first + count):
        name = f"seed-{key}-{seed}"
        if not experiment_exists(name):
            log.info("seed %d: training (experiment %s)", seed, name)
            run_experiment(name, [f"train.seed={seed}"])
        found[str(seed)] = scalars(Revision(name).json(METRICS))
    write_json(Path(SEEDS), summary(found))
    log.info("%s: %d seeds", SEEDS, count)


def run_recipes(names: Sequence[str], seeds: int, settings: Sequence[str], out: Path) -> None:
    """Train recipes with several seeds; print one table and write it to `out`.

    Args:
        names: recipes of recipes.yaml; none = all.
        seeds: number of seeds per recipe, from train.seed on.
        settings: section.key=value, for every recipe.
        out: Markdown file to write.

    Raises:
        CxrError: a recipe does not exist, or a run failed.
    """
    recipes = chosen(read_yaml(RECIPES), names)
    key, first = start()
    rows: dict[str, list[Block]] = {}
    for seed in range(first, first + seeds):  # one seed of all recipes, then the next seed
        for recipe, changes in recipes.items():
            changed = [*(f"{name}={value}" for name, value in changes.items()), *settings, f"train.seed={seed}"]
            name = f"recipe-{recipe}-{digest(key.encode(), *map(str.encode, changed))[:8]}-{seed}"
            if not experiment_exists(name):
                log.info("%s, seed %d: training (experiment %s)", recipe, seed, name)
                run_experiment(name, changed)
            revision = Revision(name)
            rows.setdefault(recipe, []).append(view_metrics(revision))
    text = table(rows)
    if CROSSFIT.is_file():
        classes = parse_operating_point(revision.text(OPERATING_POINT), OPERATING_POINT).classes
        text += f"\nCross-fitted predictions ({CROSSFIT}):\n\n{views_text(runs_of(read_crossfit(), classes))}\n"
    print(text)
    write_text(out, text)


def start() -> tuple[str, int]:
    """The key of the settings, and the first seed."""
    params = read_yaml(PARAMS_FILE)
    return settings_key(params, read_yaml(Path("dvc.yaml"))), int(params["train"]["seed"])


def experiment_exists(name: str) -> bool:
    """Whether this repository has an experiment of that name, of any commit."""
    refs = git_output("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    return any(ref.rsplit("/", 1)[-1] == name for ref in refs)


def run_experiment(name: str, changes: Sequence[str], stage: str | None = None) -> None:
    """Run the last commit with the workspace's edits and `changes` (section.key=value) in a temporary copy.

    With `stage`, the pipeline runs up to that stage.

    Raises:
        CxrError: the run failed; its output above is the reason.
    """
    settings = [word for change in changes for word in ("-S", change)]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name, *settings]
    command += [stage] if stage else []
    if subprocess.run(command, check=False).returncode or not experiment_exists(name):
        raise CxrError(f"experiment {name}: the run failed (see above); run the same command again to resume")


def settings_key(params: dict[str, Any], pipeline: dict[str, Any]) -> str:
    """Eight hexadecimal digits that change with any parameter but `train.seed`, and with tracked code and data."""
    rest = {**params, "train": {name: value for name, value in params["train"].items() if name != "seed"}}
    deps = sorted({dep for stage in pipeline["stages"].values() for dep in stage.get("deps", []) if "$" not in dep})
    listed = git_output("ls-files", "-z", "--", "dvc.yaml", "*.dvc", *deps)
    files = [Path(name) for name in listed.split("\0") if name and Path(name).is_file()]
    parts = [json.dumps(rest, sort_keys=True).encode(), *(path.read_bytes() for path in files)]
    return digest(*parts)[:8]


def git_output(*arguments: str) -> str:
    """The output of a Git command; raises CalledProcessError when it fails."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


def scalars(document: dict[str, Any], prefix: str = "") -> Scalars:
    """The numbers of a nested document by their dotted names; other values are left out."""
    found: Scalars = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found |= scalars(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[prefix + name] = value
    return found


def summary(seeds: dict[str, Scalars]) -> dict[str, Any]:
    """Mean, sample standard deviation and range of each metric that all seeds have, and the values of each seed."""
    first, *others = seeds.values()
    metrics = {}
    for name in (name for name in first if all(name in other for other in others)):
        values = [metrics_of[name] for metrics_of in seeds.values()]
        facts = {"mean": fmean(values), "sd": stdev(values), "min": min(values), "max": max(values)}
        metrics[name] = {fact: round(value, 5) for fact, value in facts.items()}
    return {"figures": metrics, "seeds": seeds}


def chosen(recipes: dict[str, Any], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The recipes of these names, or all without names; raises CxrError for an unknown name."""
    for name in names:
        if name not in recipes:
            raise CxrError(f"{RECIPES}: no recipe {name!r}{did_you_mean(name, recipes)} ({', '.join(recipes)})")
    return {name: recipes[name] or {} for name in names or recipes}


def table(rows: dict[str, list[Block]]) -> str:
    """A Markdown table of the AUROC of each view: mean ± standard deviation over seeds, or the 95 % CI of one seed."""
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
    if _mean([first[0].get("validation")], HOG) is not None:
        cells = [_cell([seed.get(view) for seed in first], HOG) for view in views]
        lines.append(f"| HOG features, {next(iter(rows))} | – | {' | '.join(cells)} | – | – |")
    judged = {name: [_mean([seed.get(name) for seed in seeds]) for seeds in rows.values()] for name in views}
    if len(rows) > 2 and None not in judged["test"]:
        lines += [
            "",
            f"Rank correlation of {len(rows)} recipes with the test films (Kendall's tau, 1 = same, -1 = reverse):",
        ]
        for name in VIEWS:
            if None not in judged[name]:
                lines.append(f"- {VIEWS[name]}: {kendalltau(judged[name], judged['test']).statistic:.2f}")
    return "\n".join(lines) + "\n"


def view_metrics(revision: Revision) -> Block:
    """Metrics of each view and of the test films; macro AUROC counts as AUROC for three classes or more."""
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
