"""SageMaker's models, endpoints and jobs: describe, create, wait, delete. Error codes decide, never error texts."""

import logging
import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cxr.aws.session import TransientError, aws_errors, aws_session
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)
MINUTES = 60  # how long a change of state is waited for
MOVING = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting", "InProgress", "Stopping"}
# A description needs a name only, so a ValidationException for a valid name means that there is no such thing.
_MISSING = {"ValidationException", "ResourceNotFound", "ResourceNotFoundException"}
_TAKEN = {"ValidationException", "ResourceInUse", "ConflictException"}


@dataclass(frozen=True)
class Sort:
    """A sort of resource: its name in boto3's methods and the member that holds a resource's name."""

    noun: str
    key: str

    def __str__(self) -> str:
        return self.noun.replace("_", " ")


MODEL = Sort("model", "ModelName")
CONFIG = Sort("endpoint_config", "EndpointConfigName")
ENDPOINT = Sort("endpoint", "EndpointName")
TRANSFORM = Sort("transform_job", "TransformJobName")
GROUP = Sort("model_package_group", "ModelPackageGroupName")


class Account:
    """The resources of one account and region."""

    def __init__(self, client: Any, poll_seconds: float = 15.0) -> None:
        self.client, self.poll_seconds = client, poll_seconds

    def describe(self, sort: Sort, name: str) -> dict[str, Any] | None:
        """The service's description, or None where there is no such resource."""
        found: dict[str, Any] | None = self._call("describe", sort, name)
        return found

    def create(self, sort: Sort, request: dict[str, Any]) -> bool:
        """Create a resource unless one of its name exists; returns whether this call created it."""
        name = request[sort.key]
        if self.describe(sort, name) is not None:
            log.info("%s %s: exists", sort, name)
            return False
        with aws_errors(f"{sort} {name}"):
            try:
                getattr(self.client, f"create_{sort.noun}")(**request)
            except ClientError as error:
                if error.response["Error"]["Code"] not in _TAKEN or self.describe(sort, name) is None:
                    raise
                log.info("%s %s: created by another call meanwhile", sort, name)
                return False
        log.info("%s %s: created", sort, name)
        return True

    def delete(self, sort: Sort, name: str) -> bool:
        """Delete a resource; returns whether there was one.

        AWS deletes no endpoint that is changing, and its configuration only after it: both ends are waited for.
        """
        if sort is not ENDPOINT:
            return self._call("delete", sort, name) is not None
        if state(self.describe(sort, name)) in MOVING:
            log.warning("%s %s: AWS deletes it only once it has started or failed: waiting", sort, name)
        if self.settled(sort, name) is None:
            return False
        self._call("delete", sort, name)
        self.settled(sort, name)
        return True

    def settled(self, sort: Sort, name: str, minutes: float = MINUTES) -> dict[str, Any] | None:
        """Wait until an endpoint or a job changes no more; its description, or None where it is gone.

        Raises:
            CxrError: it still changes after so many minutes.
        """
        limit, told = time.monotonic() + minutes * 60, ""
        while time.monotonic() < limit:
            try:
                found = self.describe(sort, name)
            except TransientError as fault:
                log.warning("%s (trying again)", fault)
            else:
                status = state(found)
                if status != told:
                    log.info("%s %s: %s", sort, name, status or "gone")
                if found is None or status not in MOVING:
                    return found
                told = status
            time.sleep(self.poll_seconds)
        raise CxrError(f"{sort} {name}: still {told} after {minutes:g} minutes; look at it in the SageMaker console")

    def _call(self, verb: str, sort: Sort, name: str) -> dict[str, Any] | None:
        with aws_errors(f"{sort} {name}"):
            try:
                answer: dict[str, Any] = getattr(self.client, f"{verb}_{sort.noun}")(**{sort.key: name})
                return answer
            except ClientError as error:
                if error.response["Error"]["Code"] in _MISSING:
                    return None
                raise


def account(poll_seconds: float = 15.0) -> Account:
    """The account and region of the AWS configuration."""
    with aws_errors("AWS"):
        return Account(aws_session().client("sagemaker"), poll_seconds)


def state(description: dict[str, Any] | None) -> str:
    """The status in a description of an endpoint or a job; empty for none."""
    found = description or {}
    return str(found.get("EndpointStatus") or found.get("TransformJobStatus") or "")


def reason(description: dict[str, Any] | None) -> str:
    """Why it failed, on one line."""
    return " ".join(str((description or {}).get("FailureReason", "it gives no reason")).split())
