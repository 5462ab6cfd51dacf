"""The current settings under several training seeds: python -m tools.seeds --count 5.

Each seed is a DVC experiment made from the last commit with the edits of the workspace, so that `dvc exp show` lists
them and `python -m tools.compare main~seeds …` takes them. What is finished is not run again; an interrupted call
resumes. They run one after the other: a training takes all the devices of compute.yaml as it is.
"""

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from cxr.console.stage import run_stage
from cxr.core.config import PARAMS_FILE, read_yaml
from cxr.core.errors import CxrError
from cxr.core.files import digest, write_json
from cxr.report.revisions import METRICS, Revision

log = logging.getLogger(__name__)
SEEDS = Path("metrics/seeds.json")
Scalars = dict[str, float]


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing and write metrics/seeds.json."""
    parser = argparse.ArgumentParser(prog="python -m tools.seeds", description=__doc__)
    parser.add_argument("--count", type=int, default=5, help="seeds, from train.seed on")
    count = parser.parse_args(arguments).count
    if count < 2:
        raise CxrError(f"--count: {count}; a spread needs two seeds or more")
    params = read_yaml(PARAMS_FILE)
    first, key = int(params["train"]["seed"]), settings_key(params, read_yaml(Path("dvc.yaml")))
    found: dict[str, Scalars] = {}
    for seed in range(first, first + count):
        name = f"seed-{key}-{seed}"
        if not _exists(name):
            log.info("seed %d: training (experiment %s)", seed, name)
            _run(name, seed)
        found[str(seed)] = scalars(json.loads(Revision(name).text(METRICS)))
    write_json(SEEDS, summary(found))
    log.info("%s: %d seeds", SEEDS, count)


def settings_key(params: dict[str, Any], pipeline: dict[str, Any]) -> str:
    """Eight digits that change with any parameter but `train.seed` and with any code or data that Git tracks."""
    rest = {**params, "train": {name: value for name, value in params["train"].items() if name != "seed"}}
    deps = sorted({dep for stage in pipeline["stages"].values() for dep in stage.get("deps", []) if "$" not in dep})
    listed = _git("ls-files", "-z", "--", "dvc.yaml", "*.dvc", *deps)
    files = [Path(name) for name in listed.split("\0") if name and Path(name).is_file()]
    parts = [json.dumps(rest, sort_keys=True).encode(), *(path.read_bytes() for path in files)]
    return digest(*parts)[:8]


def scalars(document: dict[str, Any], prefix: str = "") -> Scalars:
    """The numbers of a nested document by their dotted names; what is no number is left out."""
    found: Scalars = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found |= scalars(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[prefix + name] = value
    return found


def summary(seeds: dict[str, Scalars]) -> dict[str, Any]:
    """Mean, standard deviation (of a sample) and range of each figure that all seeds have; and the seeds themselves."""
    first, *others = seeds.values()
    figures = {}
    for name in (name for name in first if all(name in other for other in others)):
        values = [figures_of[name] for figures_of in seeds.values()]
        facts = {"mean": fmean(values), "sd": stdev(values), "min": min(values), "max": max(values)}
        figures[name] = {fact: round(value, 5) for fact, value in facts.items()}
    return {"figures": figures, "seeds": seeds}


def _exists(name: str) -> bool:
    refs = _git("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    return any(ref.rsplit("/", 1)[-1] == name for ref in refs)


def _run(name: str, seed: int) -> None:
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name, "-S", f"train.seed={seed}"]
    if subprocess.run(command, check=False).returncode or not _exists(name):
        raise CxrError(f"seed {seed}: the run failed (see above); `make seeds` resumes with it and keeps the finished")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    run_stage(main)
