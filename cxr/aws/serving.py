"""Send the requests of a deployment, wait, try it with a film, and take back what was made when that fails."""

import hashlib
import json
import logging
from dataclasses import replace
from typing import Any

from cxr.aws.endpoint import PAYLOAD_MB, Bundle, Kind, Target, archive_url, model_name, registry_requests, requests
from cxr.aws.resources import CONFIG, ENDPOINT, GROUP, MODEL, Account, Sort, reason, state
from cxr.aws.s3 import Item, Store
from cxr.aws.session import aws_errors, aws_session
from cxr.aws.transform import run_transform
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)
KINDS: tuple[Kind, ...] = ("realtime", "serverless", "transform")
SORTS = {"CreateModel": MODEL, "CreateEndpointConfig": CONFIG, "CreateEndpoint": ENDPOINT}


class Deployment:
    """One bundle on its way to SageMaker."""

    def __init__(self, bundle: Bundle, target: Target, region: str | None = None, poll_seconds: float = 15.0) -> None:
        self.bundle, self.target = bundle, target
        session = aws_session(region)
        with aws_errors("AWS"):
            self.account = Account(session.client("sagemaker"), poll_seconds)
            self.runtime: Any = session.client("sagemaker-runtime")
        self.store = Store(target.store_url, session)
        self._made: list[tuple[Sort, str]] = []

    def deploy(self, film: bytes, again: bool = False) -> str:
        """Make the endpoint and return its name, or run the transform job and return the address of its predictions.

        `film` is what the endpoint is tested with; `again` repeats a completed transform.

        Raises:
            CxrError: a request was refused, the endpoint failed, or it did not answer about the film. What this call
                made is deleted first; what was there before stays.
        """
        self._upload()
        if self.target.kind == "transform":
            return run_transform(self.bundle, self.target, self.account, again)
        try:
            for operation, request in requests(self.bundle, self.target).items():
                self._create(SORTS[operation], request)
            self._await(ENDPOINT, self.bundle.name, "InService")
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
        self.account.create(GROUP, made["CreateModelPackageGroup"])
        with aws_errors("model registry"):
            entry = self.account.client.create_model_package(**made["CreateModelPackage"])
        return str(entry["ModelPackageArn"])

    def delete(self) -> list[str]:
        """Delete endpoint, its configuration and the model; returns what was there."""
        name = self.bundle.name
        things = [(ENDPOINT, name), *((CONFIG, f"{name}-{kind}") for kind in ("realtime", "serverless"))]
        things += [(MODEL, model_name(self.bundle, replace(self.target, kind=kind))) for kind in KINDS]
        return [f"{sort} {thing}" for sort, thing in things if self.account.delete(sort, thing)]

    def _upload(self) -> None:
        archive = self.bundle.archive
        self.store.check()
        key = archive_url(self.bundle, self.target).removeprefix(self.target.store_url)
        self.store.put_all([Item(key, archive, archive.stat().st_size, self.bundle.md5)], "upload bundle")

    def _create(self, sort: Sort, request: dict[str, Any]) -> None:
        """Create it, or take what exists under its name, which holds the bundle's hash."""
        if self.account.create(sort, request):
            self._made.append((sort, request[sort.key]))

    def _await(self, sort: Sort, name: str, wanted: str) -> str:
        found = self.account.settled(sort, name)
        if state(found) != wanted:
            raise CxrError(f"{sort} {name}: {state(found) or 'gone'}: {reason(found)}")
        return name

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
        for sort, name in reversed(self._made):
            try:
                self.account.delete(sort, name)
                log.warning("%s %s: deleted again", sort, name)
            except CxrError as error:
                log.error("%s; delete %s by hand", error, name)
            except KeyboardInterrupt:
                log.error("interrupted: %s %s remains, and may be billed; delete it", sort, name)
                raise


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
