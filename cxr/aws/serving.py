"""Send the requests of a deployment, wait, try it with a film, and take back what was made when that fails."""

import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError, WaiterError

from cxr.aws.endpoint import PAYLOAD_MB, Bundle, Kind, Target, archive_url, model_name, registry_requests, requests
from cxr.aws.s3 import Item, Store
from cxr.aws.session import aws_errors, aws_session
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)
MINUTES = 30
KINDS: tuple[Kind, ...] = ("realtime", "serverless", "transform")


class Deployment:
    """One bundle on its way to SageMaker."""

    def __init__(self, bundle: Bundle, target: Target, region: str | None = None, poll_seconds: float = 15.0) -> None:
        self.bundle, self.target, self.poll_seconds = bundle, target, poll_seconds
        session = aws_session(region)
        with aws_errors("AWS"):
            self.client: Any = session.client("sagemaker")
            self.runtime: Any = session.client("sagemaker-runtime")
        self.store = Store(target.store_url, session)
        self._undo: list[tuple[str, Callable[[], object]]] = []

    def deploy(self, film: bytes) -> str:
        """Make the endpoint, or the transform job, and return its name; `film` is what the endpoint is tried with.

        Raises:
            CxrError: a request was refused, the endpoint failed, or it did not answer about the film. What this call
                made is deleted first; what was there before stays.
        """
        self._upload()
        try:
            for operation, request in requests(self.bundle, self.target).items():
                self._create(operation, request)
            if self.target.kind == "transform":
                return self._wait("transform_job_completed_or_stopped", TransformJobName=self.bundle.name)
            self._wait("endpoint_in_service", EndpointName=self.bundle.name)
            self._try(film)
        except BaseException:
            self._roll_back()
            raise
        return self.bundle.name

    def register(self, metrics: bytes) -> str:
        """Enter the bundle in the model registry, to be approved by a person; returns the ARN of the entry."""
        md5 = self.bundle.md5
        item = Item(f"bundles/{md5}/metrics.json", metrics, len(metrics), _md5(metrics))
        self._upload()
        self.store.put(item)
        made = registry_requests(self.bundle, self.target, self.store.below(item.key))
        self._create("CreateModelPackageGroup", made["CreateModelPackageGroup"])
        with aws_errors("model registry"):
            entry = self.client.create_model_package(**made["CreateModelPackage"])
        return str(entry["ModelPackageArn"])

    def delete(self) -> list[str]:
        """Delete endpoint, its configuration and the model; returns what was there."""
        name, found = self.bundle.name, []
        steps: list[tuple[str, Callable[[], object]]] = [
            (f"endpoint {name}", lambda: self.client.delete_endpoint(EndpointName=name)),
            *(
                (f"configuration {name}-{kind}", self._configuration_deleter(f"{name}-{kind}"))
                for kind in ("realtime", "serverless")
            ),
            *((f"model {model}", self._model_deleter(model)) for model in (model_name(self.bundle, k) for k in KINDS)),
        ]
        for what, delete in steps:
            with aws_errors(what):
                try:
                    delete()
                    found.append(what)
                except ClientError as error:
                    if not _missing(error):
                        raise
        return found

    def _configuration_deleter(self, name: str) -> Callable[[], object]:
        return lambda: self.client.delete_endpoint_config(EndpointConfigName=name)

    def _model_deleter(self, name: str) -> Callable[[], object]:
        return lambda: self.client.delete_model(ModelName=name)

    def _upload(self) -> None:
        archive = self.bundle.archive
        self.store.check()
        key = archive_url(self.bundle, self.target).removeprefix(self.target.store_url)
        self.store.put_all([Item(key, archive, archive.stat().st_size, self.bundle.md5)], "upload bundle")

    def _create(self, operation: str, request: dict[str, Any]) -> None:
        """Send one request; what exists already under its name, which holds the bundle's hash, is taken as it is."""
        method = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in operation).lstrip("_")
        with aws_errors(operation):
            try:
                getattr(self.client, method)(**request)
            except ClientError as error:
                if "already exist" not in error.response["Error"]["Message"].lower():
                    raise
                log.info("%s: is there already", operation)
                return
        log.info("%s: done", operation)
        delete = {
            "CreateModel": ("delete_model", "ModelName"),
            "CreateEndpointConfig": ("delete_endpoint_config", "EndpointConfigName"),
            "CreateEndpoint": ("delete_endpoint", "EndpointName"),
        }.get(operation)
        if delete:
            call, key = delete
            self._undo.append((operation, lambda: getattr(self.client, call)(**{key: request[key]})))

    def _wait(self, waiter: str, **name: str) -> str:
        what = next(iter(name.values()))
        attempts = max(1, round(MINUTES * 60 / self.poll_seconds))
        log.info("waiting for %s", what)
        with aws_errors(what):
            try:
                config = {"Delay": self.poll_seconds, "MaxAttempts": attempts}
                self.client.get_waiter(waiter).wait(**name, WaiterConfig=config)
            except WaiterError as error:
                reason = str(error.last_response.get("FailureReason", "") or error)
                raise CxrError(f"{what}: {' '.join(reason.split())}") from error
        return what

    def _try(self, film: bytes) -> None:
        name, limit = self.bundle.name, PAYLOAD_MB[self.target.kind]
        if len(film) > limit * 1_000_000:
            raise CxrError(f"the film to try is larger than {limit} MB, which is all that {self.target.kind} takes")
        try:
            with aws_errors(f"endpoint {name}"):
                reply = self.runtime.invoke_endpoint(
                    EndpointName=name, Body=film, ContentType="application/octet-stream", Accept="application/json"
                )
            answer = json.loads(reply["Body"].read())
            log.info("endpoint %s answers: %s with probability %.3f", name, answer["decision"], answer["probability"])
        except (ValueError, KeyError, TypeError) as error:
            raise CxrError(f"endpoint {name}: its answer about the film to try is no prediction") from error

    def _roll_back(self) -> None:
        for operation, delete in reversed(self._undo):
            try:
                delete()
                log.warning("%s: taken back", operation)
            except ClientError as error:
                log.error("%s: cannot be taken back (%s); delete it by hand", operation, error)


def _missing(error: ClientError) -> bool:
    message = error.response["Error"]["Message"].lower()
    return "could not find" in message or "not found" in message or "does not exist" in message


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
