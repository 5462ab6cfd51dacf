"""Send the requests of a deployment, wait, test it with a film, and roll back on failure."""

import functools
import hashlib
import json
import logging
from collections.abc import Callable
from typing import Any

from cxr.aws.endpoint import PAYLOAD_MB, PROJECT, Bundle, Target, archive_url, facts, registry_requests, requests
from cxr.aws.objects import Item
from cxr.aws.resources import CONFIG, ENDPOINT, GROUP, MODEL, Account, Sort, reason, state
from cxr.aws.s3 import Store
from cxr.aws.session import aws_errors, aws_session, check_partition, check_quotas
from cxr.aws.transform import latest_attempt, run_transform
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)


class Deployment:
    """The deployment of one bundle to SageMaker; CxrError in a region of China or GovCloud."""

    def __init__(self, bundle: Bundle, target: Target, region: str | None = None, poll_seconds: float = 15.0) -> None:
        self.bundle, self.target = bundle, target
        self._session = session = aws_session(region)
        with aws_errors("AWS"):
            self.account = Account(session.client("sagemaker"), poll_seconds)
            self.runtime: Any = session.client("sagemaker-runtime")
        check_partition(session.region_name, "AWS")
        self.store = Store(target.store_url, session)
        self._undo: list[tuple[str, Callable[[], object]]] = []

    def deploy(self, film: bytes, again: bool = False) -> str:
        """Make the endpoint and return its name, or run the transform job and return the address of its predictions.

        `film` is what the endpoint is tested with; `again` repeats a completed transform.

        Raises:
            CxrError: a request or the endpoint failed, or the endpoint gave no prediction. Everything that this call
                created is deleted first.
        """
        if self.target.kind == "transform":
            self._check_quota("transform job")
            self._upload()
            return run_transform(self.bundle, self.target, self.account, again)
        before = self._endpoint_before()
        sent, name = requests(self.bundle, self.target), self.bundle.name
        config = sent["CreateEndpointConfig"]["EndpointConfigName"]
        if before and before["EndpointConfigName"] == config:
            log.info("endpoint %s: exists with these settings", name)
            self._try(film)
            return name
        if self.target.kind == "realtime":
            self._check_quota("endpoint")
        self._upload()
        try:
            self._create(MODEL, sent["CreateModel"])
            self._create(CONFIG, sent["CreateEndpointConfig"])
            if before:
                self._update(before["EndpointConfigName"], config)
            else:
                self._create(ENDPOINT, sent["CreateEndpoint"])
            self._await(config)
            self._try(film)
        except BaseException:
            self._roll_back()
            raise
        if before:
            self._delete_unused(before["EndpointConfigName"], sent["CreateModel"]["ModelName"])
        return name

    def outlook(self, again: bool = False) -> list[str]:
        """What exists, what `deploy` would change, and how to remove it. Asks AWS, and changes nothing."""
        name = self.bundle.name
        if self.target.kind == "transform":
            return self._transform_outlook(again)
        remove = f"to remove it: python -m cxr deploy --delete {name}"
        before = self.account.describe(ENDPOINT, name)
        if before is None:
            return [f"exists: no endpoint {name}", "would create a model, a configuration and the endpoint", remove]
        changed = self.changes(before)
        lines = [f"would change: {fact}: {now or 'none'} -> {then or 'none'}" for fact, (now, then) in changed.items()]
        if "kind" in changed:
            lines.append("would stop: the kind of an endpoint cannot change")
        return [f"exists: endpoint {name}, {state(before)}", *(lines or ["would change nothing"]), remove]

    def _transform_outlook(self, again: bool) -> list[str]:
        job, attempts = latest_attempt(self.bundle, self.target, self.account)
        exists = f"transform job {job['TransformJobName']}, {state(job)}" if job else "no such transform job"
        would = {"Completed": "report its predictions", "InProgress": "attach to it"}.get(state(job))
        attempt = attempts if would and not (again and state(job) == "Completed") else attempts + 1
        sent = requests(self.bundle, self.target, attempt)
        output = sent["CreateTransformJob"]["TransformOutput"]["S3OutputPath"]
        return [
            f"exists: {exists}",
            f"would {would if attempt == attempts else f'start attempt {attempt}'}",
            f"to remove it: python -m cxr deploy --delete {sent['CreateModel']['ModelName']}, and "
            f"aws s3 rm --recursive {output}; AWS keeps the job without cost",
        ]

    def registry_outlook(self) -> list[str]:
        """The same for `register`, which makes another entry each time."""
        group = self.account.describe(GROUP, PROJECT)
        return [
            f"exists: {'group' if group else 'no group'} {PROJECT} of the model registry",
            f"would create {'' if group else 'the group and '}another entry, pending approval",
            "to remove it: aws sagemaker delete-model-package --model-package-name ARN, with the ARN that is printed",
        ]

    def changes(self, before: dict[str, Any]) -> dict[str, tuple[str, str]]:
        """What differs between an endpoint and this deployment: fact -> (now, then)."""
        sent = requests(self.bundle, self.target)
        wanted = facts(sent["CreateEndpointConfig"], sent["CreateModel"])
        config = self.account.describe(CONFIG, before["EndpointConfigName"])
        if config is None:
            return {"configuration": (f"{before['EndpointConfigName']} (deleted)", "a new one")}
        model = self.account.describe(MODEL, config["ProductionVariants"][0]["ModelName"]) or {}
        found = facts(config, model)
        return {name: (found[name], value) for name, value in wanted.items() if found[name] != value}

    def _endpoint_before(self) -> dict[str, Any] | None:
        """The endpoint of this name, settled; a failed one is deleted, because AWS takes no update of it.

        Raises:
            CxrError: it is of another kind, or neither in service nor failed.
        """
        name = self.bundle.name
        before = self.account.settled(ENDPOINT, name)
        if state(before) == "Failed":
            log.warning("endpoint %s: has failed (%s); deleting it", name, reason(before))
            self.account.delete(ENDPOINT, name)
            return None
        remedy = f"delete it first: python -m cxr deploy --delete {name}"
        if before and state(before) != "InService":
            raise CxrError(f"endpoint {name}: {state(before)}, which takes no update; {remedy}")
        now, then = self.changes(before).get("kind", ("", "")) if before else ("", "")
        if now:
            raise CxrError(f"endpoint {name}: is {now}, and cannot become {then}; {remedy}")
        return before

    def register(self, metrics: bytes) -> str:
        """Register the bundle for manual approval; returns the ARN of the entry."""
        md5 = self.bundle.md5
        item = Item(f"bundles/{md5}/metrics.json", metrics, len(metrics), _md5(metrics))
        self._upload()
        self.store.put(item)
        made = registry_requests(self.bundle, self.target, self.store.below(item.key))
        self.account.create(GROUP, made["CreateModelPackageGroup"])
        with aws_errors("model registry"):
            entry = self.account.client.create_model_package(**made["CreateModelPackage"])
        return str(entry["ModelPackageArn"])

    def _check_quota(self, use: str) -> None:
        check_quotas(self._session, {f"{self.target.instance_type} for {use} usage": 1})

    def _upload(self) -> None:
        archive = self.bundle.archive
        self.store.check()
        key = archive_url(self.bundle, self.target).removeprefix(self.target.store_url)
        self.store.put_all([Item(key, archive, archive.stat().st_size, self.bundle.md5)], "upload bundle")

    def _create(self, sort: Sort, request: dict[str, Any]) -> None:
        """Create it, or take what exists under its name, which holds the bundle's hash."""
        if self.account.create(sort, request):
            name = request[sort.key]
            self._undo.append((f"{sort} {name}", functools.partial(self.account.delete, sort, name)))

    def _update(self, old: str, new: str) -> None:
        """Give the endpoint another configuration; it answers with the old one until the new one is ready."""
        name = self.bundle.name
        for fact, (now, then) in self.changes({"EndpointConfigName": old}).items():
            log.info("endpoint %s: %s: %s -> %s", name, fact, now or "none", then or "none")
        self._undo.append((f"update of endpoint {name}", functools.partial(self._restore, old)))
        with aws_errors(f"endpoint {name}"):
            self.account.client.update_endpoint(EndpointName=name, EndpointConfigName=new)

    def _restore(self, old: str) -> None:
        """The old configuration; AWS itself goes back to it where the new one fails."""
        found = self.account.settled(ENDPOINT, self.bundle.name)
        if found and found["EndpointConfigName"] != old:
            with aws_errors(f"endpoint {self.bundle.name}"):
                self.account.client.update_endpoint(EndpointName=self.bundle.name, EndpointConfigName=old)
            self._await(old)

    def _await(self, config: str) -> None:
        found, name = self.account.settled(ENDPOINT, self.bundle.name), self.bundle.name
        if found is None or state(found) != "InService":
            raise CxrError(f"endpoint {name}: {state(found) or 'gone'}: {reason(found)}")
        if found["EndpointConfigName"] != config:
            raise CxrError(f"endpoint {name}: the update failed, and the former configuration serves: {reason(found)}")

    def _delete_unused(self, config: str, kept: str) -> None:
        found = self.account.describe(CONFIG, config)
        self.account.delete(CONFIG, config)
        for variant in (found or {}).get("ProductionVariants", []):
            if variant["ModelName"] != kept:
                self.account.delete(MODEL, variant["ModelName"])

    def _try(self, film: bytes) -> None:
        name, limit = self.bundle.name, PAYLOAD_MB[self.target.kind]
        if len(film) > limit * 1_000_000:
            raise CxrError(f"the test film is larger than {limit} MB, the limit of {self.target.kind}")
        try:
            with aws_errors(f"endpoint {name}"):
                reply = self.runtime.invoke_endpoint(
                    EndpointName=name, Body=film, ContentType="application/octet-stream", Accept="application/json"
                )
            answer = json.loads(reply["Body"].read())
            log.info("endpoint %s predicts %s with probability %.3f", name, answer["decision"], answer["probability"])
        except (ValueError, KeyError, TypeError) as error:
            raise CxrError(f"endpoint {name}: its response to the test film is not a prediction") from error

    def _roll_back(self) -> None:
        for what, undo in reversed(self._undo):
            try:
                undo()
                log.warning("%s: taken back", what)
            except CxrError as error:
                log.error("%s: cannot be taken back (%s); do it by hand", what, error)
            except KeyboardInterrupt:
                log.error("interrupted: %s was not taken back, and may be billed", what)
                raise


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
