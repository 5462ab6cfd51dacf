"""Training jobs: find, follow, stop."""

import logging
import re
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from tqdm import tqdm

from cxr.aws.container.workspace import EPOCH_LINE
from cxr.aws.plan import JobPlan
from cxr.aws.s3 import Store
from cxr.aws.session import TransientError, aws_errors, aws_session
from cxr.core.errors import CxrError

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ENDS = {"Completed", "Failed", "Stopped"}
PATIENCE_S = 600.0  # wait for a lost network or an expired sign-in
log = logging.getLogger(__name__)


class JobLog:
    """The log streams of a job in CloudWatch, each read from the last position."""

    def __init__(self, job_name: str) -> None:
        self._job_name = job_name
        self._tokens: dict[str, str | None] = {}

    def new_lines(self, client: Any) -> list[str]:
        """Lines since the last call; with several instances, the name of the instance begins each line."""
        try:
            found = client.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._job_name}/")
        except client.exceptions.ResourceNotFoundException:  # nothing was logged yet
            return []
        for stream in found["logStreams"]:
            self._tokens.setdefault(stream["logStreamName"], None)
        hosts = {name: name.split("/", 1)[1][:6] for name in self._tokens}
        several = len(set(hosts.values())) > 1
        return [
            f"{hosts[name]}: {line}" if several else line
            for name in list(self._tokens)
            for line in self._read(client, name)
        ]

    def _read(self, client: Any, stream: str) -> list[str]:
        lines: list[str] = []
        while True:
            token = self._tokens[stream]
            more = {"nextToken": token} if token else {}
            page = client.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, **more)
            lines += [event["message"] for event in page["events"]]
            self._tokens[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token or not page["events"]:
                return lines


def follow(name: str, connect: Callable[[], Any], epochs: int, poll_seconds: float) -> dict[str, Any]:
    """Show the progress and the log of a job until it ends; returns its last description.

    Args:
        name: of the job.
        connect: makes a new AWS session, which uses renewed credentials.
        epochs: length of the progress bar.
        poll_seconds: time between two requests.

    Raises:
        CxrError: no access to AWS for ten minutes. The job continues.
    """
    job_log, told, lost = JobLog(name), 0, 0.0
    jobs, logs = _clients(name, connect)
    with tqdm(total=epochs, desc="epochs", unit="epoch", disable=None, file=sys.stderr) as bar:
        while True:
            try:
                with aws_errors(f"job {name}"):
                    job: dict[str, Any] = jobs.describe_training_job(TrainingJobName=name)
                    lines = job_log.new_lines(logs)
                lost = 0.0
            except TransientError as fault:
                lost = lost or time.monotonic()
                if time.monotonic() - lost > PATIENCE_S:
                    raise CxrError(f"{fault}; the job itself goes on: run the same command to attach to it") from fault
                log.warning("%s (trying again; the job goes on)", fault)
                time.sleep(poll_seconds)
                jobs, logs = _clients(name, connect)
                continue
            transitions = job.get("SecondaryStatusTransitions", [])
            for step in transitions[told:]:
                tqdm.write(f"job {name}: {step['Status']}: {step.get('StatusMessage', '')}", file=sys.stderr)
            told = len(transitions)
            for line in lines:
                tqdm.write(f"  {line}", file=sys.stderr)
                if found := re.search(EPOCH_LINE, line):
                    bar.update(max(0, int(found.group(1)) + 1 - bar.n))
            if job["TrainingJobStatus"] in ENDS:
                return job
            time.sleep(poll_seconds)


def _clients(name: str, connect: Callable[[], Any]) -> tuple[Any, Any]:
    with aws_errors(f"job {name}"):
        session = connect()
        return session.client("sagemaker"), session.client("logs")


def find_job(plan: JobPlan, session: Any) -> tuple[str | None, int]:
    """The running or completed job of these inputs, or None, and the number of attempts."""
    job, attempts = latest_job(plan, session)
    if job is not None and job["TrainingJobStatus"] == "Stopping":  # the next attempt needs its last checkpoint
        name = job["TrainingJobName"]
        log.info("job %s is stopping: waiting for its checkpoint", name)
        job = follow(name, partial(aws_session, plan.settings.region), plan.epochs, plan.settings.poll_seconds)
    if job is None or job["TrainingJobStatus"] not in ("InProgress", "Completed"):
        return None, attempts
    name, status = str(job["TrainingJobName"]), job["TrainingJobStatus"]
    if status == "Completed":
        store, key = artifact(job, session)
        if not store.exists(key):
            log.warning("job %s is complete, but %s is gone: training again", name, store.below(key))
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
    with aws_errors(f"job {name}"):
        try:
            job: dict[str, Any] = client.describe_training_job(TrainingJobName=name)
            return job
        except ClientError as error:
            if "not found" in error.response["Error"]["Message"]:
                return None
            raise


def stop_job(name: str, session: Any) -> None:
    """Ask SageMaker to stop a job."""
    with aws_errors(f"job {name}"):
        session.client("sagemaker").stop_training_job(TrainingJobName=name)


def artifact(job: dict[str, Any], session: Any) -> tuple[Store, str]:
    """Where a job wrote its model.tar.gz, which may be another bucket than today's: the folder, and the key in it."""
    folder, _, key = str(job["ModelArtifacts"]["S3ModelArtifacts"]).rpartition("/")
    return Store(folder, session), key


def failure_reason(job: dict[str, Any]) -> str:
    """One line, then the job's whole message where it has several lines."""
    name, status = job["TrainingJobName"], job["TrainingJobStatus"]
    if status == "Stopped":
        return f"job {name}: Stopped ({job['SecondaryStatus']}); run again to resume from its checkpoint"
    reason = str(job.get("FailureReason", "")).strip()
    lines = [line for line in reason.removeprefix("AlgorithmError: ").rsplit(", exit code", 1)[0].splitlines() if line]
    return f"job {name}: Failed: {lines[-1] if lines else reason}" + (f"\n{reason}" if len(lines) > 1 else "")
