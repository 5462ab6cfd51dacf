"""Runs of DVC experiments, and the two runs or groups of seeds that a comparison takes."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dvc.repo import Repo

from cxr.core.errors import CxrError
from cxr.core.files import digest
from cxr.report.revisions import RunResults, read_run
from cxr.report.tables import flat

ALL_SEEDS = "~seeds"
SEED = "train.seed"


def experiment_exists(name: str) -> bool:
    """Whether this repository has an experiment of that name, from whatever commit."""
    refs = git_output("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    return any(ref.rsplit("/", 1)[-1] == name for ref in refs)


def run_experiment(name: str, changes: Sequence[str]) -> None:
    """Run the last commit, with the workspace's edits and `changes` (section.key=value), outside of the workspace.

    Raises:
        CxrError: the run failed; what it printed says why.
    """
    settings = [word for change in changes for word in ("-S", change)]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name, *settings]
    if subprocess.run(command, check=False).returncode or not experiment_exists(name):
        raise CxrError(f"experiment {name}: the run failed (see above); the same command resumes with it")


def settings_key(params: dict[str, Any], pipeline: dict[str, Any]) -> str:
    """Eight digits that change with any parameter but `train.seed` and with any code or data that Git tracks."""
    rest = {**params, "train": {name: value for name, value in params["train"].items() if name != "seed"}}
    deps = sorted({dep for stage in pipeline["stages"].values() for dep in stage.get("deps", []) if "$" not in dep})
    listed = git_output("ls-files", "-z", "--", "dvc.yaml", "*.dvc", *deps)
    files = [Path(name) for name in listed.split("\0") if name and Path(name).is_file()]
    parts = [json.dumps(rest, sort_keys=True).encode(), *(path.read_bytes() for path in files)]
    return digest(*parts)[:8]


def git_output(*arguments: str) -> str:
    """What a Git command prints; raises CalledProcessError when it fails."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


def read_side(text: str, repository: Path = Path(".")) -> list[RunResults]:
    """The runs that a command line means by `main`, `exp-a,exp-b,exp-c` or `main~seeds`.

    `main~seeds` is the results of `main` and the experiments, from whichever commit, that differ from it by nothing
    but `train.seed`: the other parameters, the code and the data of the training are the same. `make seeds` makes them.

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
            raise CxrError(f"{runs[0].name}, {run.name}: {other} differs; runs of one side differ by {SEED} alone")
    return runs


def _seeds(name: str, repository: Path) -> list[RunResults]:
    first = read_run(name, repository)
    by_seed = {_seed(first.params): first}
    for experiment in _experiments(repository):
        try:
            run = read_run(experiment, repository)
        except CxrError:  # of an older layout, or without results
            continue
        if run.trained_on == first.trained_on and not _other_than_seed(first.params, run.params):
            by_seed.setdefault(_seed(run.params), run)
    if len(by_seed) == 1:
        raise CxrError(f"{name}: no experiment differs from it by {SEED} alone; run `make seeds` first")
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
