"""The SageMaker job of the current parameters: `python -m tools.handoff --dry-run` prints its request, unsent.

Without an option it trains as `backend: sagemaker` in compute.yaml does, whatever backend stands there.
"""

import argparse
import json

from cxr.aws.config import load_sagemaker
from cxr.aws.handoff import stop_on_sagemaker, train_on_sagemaker
from cxr.aws.plan import plan_job
from cxr.aws.request import cost_class
from cxr.core.config import load_section
from cxr.runtime.console import run_stage
from cxr.train.config import TrainSection


def main(arguments: list[str] | None = None) -> None:
    """Print the request, hand the train stage off, or stop its job."""
    parser = argparse.ArgumentParser(prog="python -m tools.handoff", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--dry-run", action="store_true", help="print the request and its cost class; send nothing")
    which.add_argument("--stop", action="store_true", help="stop the running job, whoever started it")
    options = parser.parse_args(arguments)
    train, settings = load_section("train", TrainSection), load_sagemaker()
    if options.stop:
        stop_on_sagemaker(train, settings)
        return
    if not options.dry_run:
        train_on_sagemaker(train, settings)
        return
    plan = plan_job(train, settings)
    print(json.dumps(plan.request(attempt=1), indent=2))
    print(f"data: {len(plan.data.items)} objects, {plan.data.size / 1e6:.1f} MB; code: {len(plan.code.items)} objects")
    print("image: by its tag here; a job pins its digest, which decides the job's name too")
    print(f"cost class: {cost_class(plan.settings)}")


if __name__ == "__main__":
    run_stage(main)
