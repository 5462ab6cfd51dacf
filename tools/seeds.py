"""The current settings under several training seeds: python -m tools.seeds --count 5.

Each seed is a DVC experiment made from the last commit with the edits of the workspace, so that `dvc exp show` lists
them and `python -m tools.compare main~seeds …` takes them. What is finished is not run again; an interrupted call
resumes. They run one after the other: a training takes all the devices of compute.yaml as it is.
"""

import argparse
import logging
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from cxr.core.config import PARAMS_FILE, read_yaml
from cxr.core.errors import CxrError
from cxr.core.files import write_json
from cxr.report.experiments import experiment_exists, run_experiment, settings_key
from cxr.report.revisions import METRICS, Revision
from cxr.runtime.console import run_stage

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
        if not experiment_exists(name):
            log.info("seed %d: training (experiment %s)", seed, name)
            run_experiment(name, [f"train.seed={seed}"])
        found[str(seed)] = scalars(Revision(name).json(METRICS))
    write_json(SEEDS, summary(found))
    log.info("%s: %d seeds", SEEDS, count)


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


if __name__ == "__main__":
    run_stage(main)
