"""A batch transform. Its name holds the hashes of bundle, settings and input prefix, and an attempt.

The same command attaches to a running job and reports a completed one. A failed or stopped one is repeated as the next
attempt, with an output of its own, so that no job's predictions are taken for those of another.
"""

import logging
from typing import Any

from cxr.aws.endpoint import Bundle, Target, requests
from cxr.aws.resources import MODEL, TRANSFORM, Account, reason, state
from cxr.aws.session import aws_errors
from cxr.core.errors import CxrError

MINUTES = 28 * 24 * 60  # a transform of a large cohort may take long; AWS ends it at the latest
log = logging.getLogger(__name__)


def run_transform(bundle: Bundle, target: Target, account: Account, again: bool = False) -> str:
    """Run the job or attach to it; returns where its predictions lie on S3.

    Args:
        bundle: uploaded already.
        target: of kind `transform`.
        account: where the job runs.
        again: repeat a completed job, because the films below the prefix have changed.

    Raises:
        CxrError: the job failed or was stopped. The next call starts the next attempt.
    """
    found, attempts = latest_attempt(bundle, target, account)
    if state(found) == "Stopping":
        found = account.settled(TRANSFORM, _name(found), MINUTES)
    if state(found) == "Completed" and not again:
        log.info("%s has completed already; --again repeats it", _name(found))
        return _output(found)
    if state(found) == "InProgress":
        log.info("%s is running: attached to it", _name(found))
        return _finished(account, _name(found))
    sent = requests(bundle, target, attempts + 1)
    name = str(sent["CreateTransformJob"]["TransformJobName"])
    made_model, made_job = account.create(MODEL, sent["CreateModel"]), False
    try:
        made_job = account.create(TRANSFORM, sent["CreateTransformJob"])
        return _finished(account, name)
    except BaseException as error:
        if made_job and not isinstance(error, CxrError):
            _stop(account, name)
        if made_model and (made_job or isinstance(error, CxrError)):
            account.delete(MODEL, sent["CreateModel"]["ModelName"])
        raise


def latest_attempt(bundle: Bundle, target: Target, account: Account) -> tuple[dict[str, Any] | None, int]:
    """The last attempt for this bundle, these settings and this input, and the number of attempts.

    Raises:
        CxrError: a job of that name has another model or another input.
    """
    found, attempts = None, 0
    while True:
        wanted = requests(bundle, target, attempts + 1)["CreateTransformJob"]
        job = account.describe(TRANSFORM, wanted["TransformJobName"])
        if job is None:
            return found, attempts
        found, attempts = job, attempts + 1
        if (job["ModelName"], _source(job)) != (wanted["ModelName"], _source(wanted)):
            raise CxrError(f"{_name(job)}: has other films or another model; this project did not start it")


def _finished(account: Account, name: str) -> str:
    job = account.settled(TRANSFORM, name, MINUTES)
    if job is None or state(job) != "Completed":
        raise CxrError(f"{name}: {state(job) or 'gone'}: {reason(job)}; the same command starts the next attempt")
    return _output(job)


def _stop(account: Account, name: str) -> None:
    log.warning("%s: stopping it, and waiting for its end", name)
    with aws_errors(name):
        account.client.stop_transform_job(TransformJobName=name)
    account.settled(TRANSFORM, name)


def _name(job: dict[str, Any] | None) -> str:
    return str((job or {})["TransformJobName"])


def _source(job: dict[str, Any]) -> str:
    return str(job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"])


def _output(job: dict[str, Any] | None) -> str:
    return str((job or {})["TransformOutput"]["S3OutputPath"])
