"""Follow a job to its end: its log line by line, its transitions, a bar of its epochs."""

import logging
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from cxr.core.errors import CxrError
from cxr.launch.channels import EPOCH_LINE
from cxr.launch.faults import Passing, faults

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ENDS = {"Completed", "Failed", "Stopped"}
PATIENCE_S = 600.0  # how long a lost network or an expired sign-in is waited for
log = logging.getLogger(__name__)


class JobLog:
    """The log streams of a job in CloudWatch, each read from where it was left."""

    def __init__(self, job_name: str) -> None:
        self._job_name = job_name
        self._tokens: dict[str, str | None] = {}

    def new_lines(self, client: Any) -> list[str]:
        """Lines since the last call; with several instances each begins with its own's name."""
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
    """Show a job until it has ended; returns its last description.

    Args:
        name: of the job.
        connect: makes a new AWS session, which finds renewed credentials.
        epochs: length of the bar.
        poll_seconds: between two questions.

    Raises:
        CxrError: AWS could not be reached, or did not accept the credentials, for ten minutes. The job goes on.
    """
    job_log, told, lost = JobLog(name), 0, 0.0
    jobs, logs = _clients(name, connect)
    with tqdm(total=epochs, desc="epochs", unit="epoch", disable=None, file=sys.stderr) as bar:
        while True:
            try:
                with faults(f"job {name}"):
                    job: dict[str, Any] = jobs.describe_training_job(TrainingJobName=name)
                    lines = job_log.new_lines(logs)
                lost = 0.0
            except Passing as fault:
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
    with faults(f"job {name}"):
        session = connect()
        return session.client("sagemaker"), session.client("logs")
