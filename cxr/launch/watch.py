"""Follow a job to its end: its log line by line, its transitions, a bar of its epochs."""

import logging
import re
import sys
import time
from typing import Any

from tqdm import tqdm

from cxr.launch.channels import EPOCH_LINE
from cxr.launch.store import faults

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
ENDS = {"Completed", "Failed", "Stopped"}
log = logging.getLogger(__name__)


class JobLog:
    """The log streams of a job in CloudWatch, each read from where it was left."""

    def __init__(self, client: Any, job_name: str) -> None:
        self._client, self._job_name = client, job_name
        self._tokens: dict[str, str | None] = {}

    def new_lines(self) -> list[str]:
        """Lines since the last call; with several instances each begins with its own's name."""
        missing = self._client.exceptions.ResourceNotFoundException
        try:
            found = self._client.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self._job_name}/")[
                "logStreams"
            ]
        except missing:  # nothing was logged yet
            return []
        for stream in found:
            self._tokens.setdefault(stream["logStreamName"], None)
        hosts = {name: name.split("/", 1)[1][:6] for name in self._tokens}
        several = len(set(hosts.values())) > 1
        return [
            f"{hosts[name]}: {line}" if several else line for name in list(self._tokens) for line in self._read(name)
        ]

    def _read(self, stream: str) -> list[str]:
        lines: list[str] = []
        while True:
            token = self._tokens[stream]
            more = {"nextToken": token} if token else {}
            page = self._client.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, **more)
            lines += [event["message"] for event in page["events"]]
            self._tokens[stream] = page["nextForwardToken"]
            if page["nextForwardToken"] == token or not page["events"]:
                return lines


def follow(job: Any, job_log: JobLog, epochs: int, poll_seconds: float) -> None:
    """Return when the job has ended; `job` is the SDK's TrainingJob, refreshed here."""
    told = 0
    bar = tqdm(total=epochs, desc="epochs", unit="epoch", disable=None, file=sys.stderr)
    with bar:
        while True:
            with faults(f"job {job.training_job_name}"):
                job.refresh()
                lines = job_log.new_lines()
            transitions = [step for step in (job.secondary_status_transitions or []) if step]
            for step in transitions[told:]:
                tqdm.write(f"job {job.training_job_name}: {step.status}: {step.status_message}", file=sys.stderr)
            told = len(transitions)
            for line in lines:
                tqdm.write(f"  {line}", file=sys.stderr)
                if found := re.search(EPOCH_LINE, line):
                    bar.update(max(0, int(found.group(1)) + 1 - bar.n))
            if job.training_job_status in ENDS:
                return
            time.sleep(poll_seconds)
