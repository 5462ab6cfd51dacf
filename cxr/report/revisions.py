"""Results of revisions or of the workspace, and their staleness."""

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import RevError, resolve_rev
from ruamel.yaml import YAML

from cxr.core.config import read_yaml
from cxr.core.errors import CxrError
from cxr.decision.operating_point import parse_operating_point
from cxr.evaluate.table import check_operating_point, check_predictions, older_columns, parse_predictions
from cxr.report.comparison import SEEDS, Run
from cxr.report.tables import flat

WORKSPACE = "workspace"
PREDICTIONS = "metrics/predictions.csv"
OPERATING_POINT = "models/operating_point.json"
METRICS = "metrics/metrics.json"
DETAILS = ("performance", "checks", "subgroups", "data", "segmentation", "training")
PARAMS = "params.yaml"
LOCK = "dvc.lock"
HISTORY = "plots/learning_curves.csv"
CARD = Path("docs/model_card.md")
OLD_DETAILS = "metrics/details/figures.json"  # performance.json since
ALL_SEEDS = "~seeds"  # behind a revision: with its experiments of other seeds
SEED = "train.seed"


@dataclass(frozen=True)
class RunResults:
    """The results of one revision that a comparison uses."""

    name: str
    run: Run
    metrics: dict[str, Any]
    params: dict[str, Any]
    history: pd.DataFrame | None  # one row per epoch
    seeds: str | None  # text of metrics/seeds.json
    trained_on: dict[str, str]  # content hash of each dependency of the train stage, from dvc.lock


@dataclass(frozen=True)
class Results(RunResults):
    """All results of one revision."""

    details: dict[str, dict[str, Any]]  # by the name of the file in metrics/details


class Revision:
    """Files of one revision, tracked by Git or by DVC."""

    def __init__(self, name: str, repository: Path = Path(".")) -> None:
        self.name = name
        self._repository = repository
        self._files = None
        if name == WORKSPACE:
            return
        try:
            commit = resolve_rev(Repo(str(repository)).scm, name)  # knows experiments by name, too
        except (DvcException, RevError) as error:
            raise CxrError(f"{name}: no such revision; `git branch -a` and `dvc exp show` list them") from error
        self._files = DVCFileSystem(str(repository), rev=commit)

    def text(self, path: str) -> str:
        """A file's text; raises CxrError when the revision lacks it."""
        try:
            if self._files is None:
                return (self._repository / path).read_text(encoding="utf-8")
            return str(self._files.read_text(path, encoding="utf-8"))
        except (OSError, DvcException) as error:
            raise CxrError(f"{self.name}: no {path}; run `dvc repro evaluate` there and commit its results") from error

    def json(self, path: str) -> dict[str, Any]:
        """A file's JSON object; raises CxrError when it is missing or damaged."""
        try:
            return dict(json.loads(self.text(path)))
        except ValueError as error:
            raise CxrError(f"{self.name}: {path} is damaged; run `dvc repro evaluate` there") from error

    def parameters(self) -> dict[str, Any]:
        """All parameters of the revision."""
        return dict(YAML(typ="safe", pure=True).load(self.text(PARAMS)))

    def fetch(self, path: str, to: Path) -> Path:
        """Copy a file that DVC or Git tracks to `to`; raises CxrError when the revision or the cache lacks it."""
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            if self._files is None:
                shutil.copyfile(self._repository / path, to)
            else:
                self._files.get_file(path, str(to))
        except (OSError, DvcException) as error:
            raise CxrError(f"{self.name}: no {path} in DVC's cache; run the experiment again") from error
        return to

    def has(self, path: str) -> bool:
        """Whether the revision holds a file."""
        return (self._repository / path).is_file() if self._files is None else bool(self._files.isfile(path))


def read_run(name: str, repository: Path = Path(".")) -> RunResults:
    """The results that a comparison uses; raises CxrError with the revision and the file."""
    return _run(Revision(name, repository))


def read_results(name: str, repository: Path = Path(".")) -> Results:
    """All results; raises CxrError with the revision and the file."""
    revision = Revision(name, repository)
    run = _run(revision)
    if revision.has(OLD_DETAILS) and not revision.has("metrics/details/performance.json"):
        raise CxrError(f"{name}: {OLD_DETAILS} has names of commit 732980e or older; run `dvc repro evaluate` there")
    details = {part: revision.json(f"metrics/details/{part}.json") for part in DETAILS}
    return Results(**vars(run), details=details)


def _run(revision: Revision) -> RunResults:
    where = f"{revision.name}: {PREDICTIONS}"
    predictions = parse_predictions(revision.text(PREDICTIONS), where)
    point = parse_operating_point(revision.text(OPERATING_POINT), f"{revision.name}: {OPERATING_POINT}")
    check_predictions(predictions, point.classes, where)
    check_operating_point(predictions, point, f"{revision.name}: {OPERATING_POINT}")
    return RunResults(
        name=revision.name,
        run=Run(predictions, point),
        metrics=revision.json(METRICS),
        params=revision.parameters(),
        history=pd.read_csv(io.StringIO(revision.text(HISTORY))) if revision.has(HISTORY) else None,
        seeds=revision.text(SEEDS) if revision.has(SEEDS) else None,
        trained_on=_trained_on(revision.text(LOCK)) if revision.has(LOCK) else {},
    )


def _trained_on(lock: str) -> dict[str, str]:
    stage = YAML(typ="safe", pure=True).load(lock)["stages"].get("train", {})
    return {dep["path"]: dep["md5"] for dep in stage.get("deps", [])}


def older_names(results: RunResults) -> list[str]:
    """A warning where the predictions have an older version's column names; empty otherwise."""
    old = older_columns(results.run.table)
    if not old:
        return []
    return [f"{results.name}: column names of commit 732980e or older ({', '.join(old)}); logits are compared."]


def read_runs(text: str, repository: Path = Path(".")) -> list[RunResults]:
    """The runs named by `main`, `exp-a,exp-b,exp-c` or `main~seeds`.

    `main~seeds` stands for `main` and all experiments, of any commit, that differ from it by `train.seed` alone: other
    parameters, code and data of the training are the same. `python -m cxr seeds` makes such experiments.

    Raises:
        CxrError: a revision is unknown or has no results, no experiment has another seed, or the runs of a list differ
            by more than their seed.
    """
    if text.endswith(ALL_SEEDS):
        return _seeds(text.removesuffix(ALL_SEEDS), repository)
    runs = [read_run(name, repository) for name in text.split(",")]
    for run in runs[1:]:
        other = _other_than_seed(runs[0].params, run.params)
        if other:
            raise CxrError(f"{runs[0].name}, {run.name}: {other} differs; list only runs that differ by {SEED} alone")
    return runs


def _seeds(name: str, repository: Path) -> list[RunResults]:
    first = read_run(name, repository)
    by_seed = {_seed(first.params): first}
    for experiment in _experiments(repository):
        try:
            run = read_run(experiment, repository)
        except CxrError:  # it has an older layout, or no results
            continue
        if run.trained_on == first.trained_on and not _other_than_seed(first.params, run.params):
            by_seed.setdefault(_seed(run.params), run)
    if len(by_seed) == 1:
        raise CxrError(f"{name}: no experiment differs from it by {SEED} alone; run `python -m cxr seeds` first")
    return list(by_seed.values())


def _experiments(repository: Path) -> Iterator[str]:
    """Names of the finished experiments."""
    for entries in Repo(str(repository)).experiments.ls(all_commits=True).values():
        yield from (str(entry[0]) for entry in entries)


def _seed(params: dict[str, Any]) -> Any:
    return flat(params).get(SEED)


def _other_than_seed(a: dict[str, Any], b: dict[str, Any]) -> str:
    """The first parameter but the seed that differs; empty where none does."""
    of_a, of_b = flat(a), flat(b)
    names = sorted(name for name in {*of_a, *of_b} if name != SEED and of_a.get(name) != of_b.get(name))
    return names[0] if names else ""


def staleness(results: Results, repository: Path = Path(".")) -> list[str]:
    """Warnings about results of other parameters, and about a model card of another cohort or classifier."""
    found = []
    changed = changed_parameters(repository)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        found.append(f"These results are out of date: {changed[0]}{more} changed in params.yaml; run `dvc repro`.")
    card = repository / CARD
    if card.is_file() and results.run.point.classifier not in card.read_text(encoding="utf-8"):
        found.append(f"{CARD} describes another classifier or cohort; run `python -m cxr model-card`.")
    return found


def changed_parameters(repository: Path) -> list[str]:
    """Names of the parameters that differ between params.yaml and the run that dvc.lock records, data.root first."""
    lock = repository / "dvc.lock"
    if not lock.is_file():
        return []
    now = flat(read_yaml(repository / "params.yaml"))
    then: dict[str, object] = {}
    for stage in read_yaml(lock).get("stages", {}).values():
        then |= flat(stage.get("params", {}).get("params.yaml", {}))
    changed = sorted(name for name in then if then[name] != now.get(name))
    return sorted(changed, key=lambda name: name != "data.root")
