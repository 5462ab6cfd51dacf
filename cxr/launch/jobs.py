"""The jobs of a plan on SageMaker: found by their names, stopped, and why they ended."""

import logging
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from cxr.launch.faults import faults
from cxr.launch.plan import JobPlan
from cxr.launch.store import Store, aws_session
from cxr.launch.watch import follow

log = logging.getLogger(__name__)


def find_job(plan: JobPlan, store: Store, session: Any) -> tuple[str | None, int]:
    """The job of these inputs that runs or has completed, or None; and the number of attempts so far."""
    job, attempts = latest_job(plan, session)
    if job is not None and job["TrainingJobStatus"] == "Stopping":  # the next attempt needs its last checkpoint
        name = job["TrainingJobName"]
        log.info("job %s is stopping: waiting for its checkpoint", name)
        job = follow(name, partial(aws_session, plan.settings.region), plan.epochs, plan.settings.poll_seconds)
    if job is None or job["TrainingJobStatus"] not in ("InProgress", "Completed"):
        return None, attempts
    name, status = str(job["TrainingJobName"]), job["TrainingJobStatus"]
    if status == "Completed" and not store.exists(artifact_key(job, plan)):
        log.warning("job %s is complete, but its model.tar.gz is gone: training again", name)
        return None, attempts
    log.info("job %s is %s already: attached to it", name, status)
    return name, attempts


def latest_job(plan: JobPlan, session: Any) -> tuple[dict[str, Any] | None, int]:
    """The last attempt of these inputs, and the number of attempts."""
    job, attempts, client = None, 0, session.client("sagemaker")
    while following := _get(plan.inputs.job_name(attempts + 1), client):
        job, attempts = following, attempts + 1
    return job, attempts


def _get(name: str, client: Any) -> dict[str, Any] | None:
    with faults(f"job {name}"):
        try:
            job: dict[str, Any] = client.describe_training_job(TrainingJobName=name)
            return job
        except ClientError as error:
            if "not found" in error.response["Error"]["Message"]:
                return None
            raise


def stop_job(name: str, session: Any) -> None:
    """Ask SageMaker to stop a job."""
    with faults(f"job {name}"):
        session.client("sagemaker").stop_training_job(TrainingJobName=name)


def artifact_key(job: dict[str, Any], plan: JobPlan) -> str:
    """Where the model.tar.gz of a job lies, below the address of the store."""
    return str(job["ModelArtifacts"]["S3ModelArtifacts"]).removeprefix(plan.store_url)


def why_it_ended(job: dict[str, Any]) -> str:
    """One line, then the job's own words where it left several."""
    name, status = job["TrainingJobName"], job["TrainingJobStatus"]
    if status == "Stopped":
        return f"job {name}: Stopped ({job['SecondaryStatus']}); run again to resume from its checkpoint"
    reason = str(job.get("FailureReason", "")).strip()
    lines = [line for line in reason.removeprefix("AlgorithmError: ").rsplit(", exit code", 1)[0].splitlines() if line]
    return f"job {name}: Failed: {lines[-1] if lines else reason}" + (f"\n{reason}" if len(lines) > 1 else "")
