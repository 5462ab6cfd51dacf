"""The SageMaker job of the current parameters: `python -m tools.handoff --dry-run` prints its request, unsent.

Without `--dry-run` it trains as `backend: sagemaker` in compute.yaml does, whatever backend stands there.
"""

import argparse
import json

from cxr.console.stage import run_stage
from cxr.core.config import load_section
from cxr.launch.config import load_sagemaker
from cxr.launch.handoff import train_on_sagemaker
from cxr.launch.plan import plan_job
from cxr.launch.request import cost_class
from cxr.train.config import TrainSection


def main(arguments: list[str] | None = None) -> None:
    """Print the request, or hand the train stage off."""
    parser = argparse.ArgumentParser(prog="python -m tools.handoff", description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="print the request and its cost class; send nothing")
    options = parser.parse_args(arguments)
    train, settings = load_section("train", TrainSection), load_sagemaker()
    if not options.dry_run:
        train_on_sagemaker(train, settings)
        return
    plan = plan_job(train, settings)
    print(json.dumps(plan.request(attempt=1), indent=2))
    films = sum(item.size for item in plan.data.items)
    print(f"data: {len(plan.data.items)} objects, {films / 1e6:.1f} MB; code: {len(plan.code.items)} objects")
    print(f"cost class: {cost_class(plan.settings)}")


if __name__ == "__main__":
    run_stage(main)
