"""Hand the train stage off to a SageMaker job: send what is missing, start or find the job, follow it, fetch the outs.

The job's name is a hash of data, code, parameters and image. A second run therefore finds the job of the first one,
whether it still runs or has ended, and pays nothing twice.
"""

import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from botocore.exceptions import ClientError
from sagemaker.core.resources import TrainingJob
from sagemaker.core.utils.code_injection.codec import transform

from cxr.core.config import Section
from cxr.core.errors import CxrError
from cxr.launch.artifact import unpack_outs
from cxr.launch.config import SageMakerSection
from cxr.launch.npz_channels import publish_channels
from cxr.launch.plan import JobPlan, plan_job
from cxr.launch.request import cost_class
from cxr.launch.store import Store, aws_session, faults
from cxr.launch.watch import JobLog, follow

log = logging.getLogger(__name__)


def train_on_sagemaker(train: Section, settings: SageMakerSection, root: Path = Path()) -> None:
    """Train in a job; the outs of the train stage are left as a local run leaves them.

    Ctrl-C stops the job; its checkpoint stays, and the next run goes on from there.

    Raises:
        CxrError: a setting, credential, bucket or datum is missing, the request is refused, or the job ends Failed or
            Stopped; then the message holds the job's own traceback.
    """
    plan = plan_job(train, settings, root)
    session = aws_session(plan.settings.region)
    store = _store(plan, session)
    store.check()
    job = _find(plan, store, session) or _create(plan, session)
    name, job_log = job.training_job_name, JobLog(session.client("logs"), job.training_job_name)
    try:
        follow(job, job_log, plan.epochs, plan.settings.poll_seconds)
    except KeyboardInterrupt:
        log.warning("stopping job %s; it saves its checkpoint first", name)
        with faults(f"job {name}"):
            job.stop()
        with contextlib.suppress(KeyboardInterrupt):  # a second one: AWS ends the job without us
            follow(job, job_log, plan.epochs, plan.settings.poll_seconds)
        raise CxrError(f"job {name}: stopped by Ctrl-C; run again to go on from its checkpoint") from None
    if job.training_job_status != "Completed":
        raise CxrError(_why(job))
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "model.tar.gz"
        store.fetch(_artifact(job, plan), archive)
        unpack_outs(archive, list(plan.outs), root)
    _log_to_mlflow(plan, root, name)


def _store(plan: JobPlan, session: Any, below: str = "") -> Store:
    key = plan.settings.output_kms_key
    return Store(f"{plan.store_url}{below}", session, None if key == "none" else key)


def _find(plan: JobPlan, store: Store, session: Any) -> Any:
    """The job of these inputs that runs or has completed, or None."""
    job, _ = _latest(plan, session)
    if job is not None and job.training_job_status == "Stopping":  # the next attempt needs its last checkpoint
        log.info("job %s is stopping: waiting for its checkpoint", job.training_job_name)
        name, logs = job.training_job_name, session.client("logs")
        follow(job, JobLog(logs, name), plan.epochs, plan.settings.poll_seconds)
    if job is None or job.training_job_status not in ("InProgress", "Completed"):
        return None
    if job.training_job_status == "Completed" and not store.exists(_artifact(job, plan)):
        log.warning("job %s is complete, but its model.tar.gz is gone: training again", job.training_job_name)
        return None
    log.info("job %s is %s already: attached to it", job.training_job_name, job.training_job_status)
    return job


def _create(plan: JobPlan, session: Any) -> Any:
    """Send what is missing and start the next attempt."""
    sent = publish_channels(plan.data, _store(plan, session, "npz/"))
    sent += _store(plan, session, "sagemaker-code/").put_all(plan.code.items, "upload code")
    log.info("%d objects uploaded", sent)
    _, attempts = _latest(plan, session)
    request = plan.request(attempts + 1)
    name, region = request["TrainingJobName"], plan.settings.region
    log.info("creating job %s: %s", name, cost_class(plan.settings))
    with faults(f"job {name}"):
        try:
            # The SDK names members in snake case; its own codec translates.
            arguments = transform(request, "CreateTrainingJobRequest")
            return TrainingJob.create(**arguments, session=session, region=region)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceInUse":
                raise
            return TrainingJob.get(name, session=session, region=region)  # another run was faster


def _latest(plan: JobPlan, session: Any) -> tuple[Any, int]:
    """The last attempt of these inputs, and the number of attempts."""
    job, attempts = None, 0
    while following := _get(plan.inputs.job_name(attempts + 1), plan.settings.region, session):
        job, attempts = following, attempts + 1
    return job, attempts


def _get(name: str, region: str, session: Any) -> Any:
    with faults(f"job {name}"):
        try:
            return TrainingJob.get(name, session=session, region=region)
        except ClientError as error:
            if "not found" in error.response["Error"]["Message"]:
                return None
            raise


def _artifact(job: Any, plan: JobPlan) -> str:
    return str(job.model_artifacts.s3_model_artifacts).removeprefix(plan.store_url)


def _why(job: Any) -> str:
    """One line, then the job's own words where it left several."""
    name, status = job.training_job_name, job.training_job_status
    if status == "Stopped":
        return f"job {name}: Stopped ({job.secondary_status}); run again to go on from its checkpoint"
    reason = str(job.failure_reason).strip()
    lines = [line for line in reason.removeprefix("AlgorithmError: ").rsplit(", exit code", 1)[0].splitlines() if line]
    return f"job {name}: Failed: {lines[-1] if lines else reason}" + (f"\n{reason}" if len(lines) > 1 else "")


def _log_to_mlflow(plan: JobPlan, root: Path, name: str) -> None:
    """Log the run from here, so that the job needs no network. Does nothing when MLFLOW_TRACKING_URI is not set."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    from cxr.train.tracking import MLflowRun

    history = root / "models/history.csv"
    tags = {"data": plan.inputs.data_md5, "sagemaker_job": name}
    with tempfile.TemporaryDirectory() as folder:
        run = MLflowRun(Path(folder), dict(plan.inputs.hyperparameters), tags)
        rows = [
            {str(name): float(value) for name, value in row.items()} for row in pd.read_csv(history).to_dict("records")
        ]
        run.log(rows)
        run.close([path for path in (root / out for out in plan.outs) if path.is_file()])
