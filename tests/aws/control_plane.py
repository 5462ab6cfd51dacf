"""A double of SageMaker's control plane, of CloudWatch Logs, ECR and Service Quotas, over HTTP.

It checks each request against botocore's service model, downloads channels from S3 by prefix, runs the request's own
ContainerEntrypoint (see container.py), mirrors checkpoints, uploads model.tar.gz, and can take a spot instance away.
"""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.aws import service_model
from tests.aws.account_quotas import account_quotas, list_service_quotas, request_increase
from tests.aws.job import LOG_GROUP, Job

_SERVICES = {"SageMaker": "sagemaker", "Logs_20140328": "logs", "AmazonEC2ContainerRegistry_V20150921": "ecr"}
_SERVICES |= {"ServiceQuotasV20190624": "service-quotas"}
_MODELS = {target: service_model.load(name) for target, name in _SERVICES.items()}


class Refused(Exception):
    """An error of the service: its code and its message."""


class ControlPlane:
    """Training jobs of one account, and every call made to it."""

    def __init__(self, folder: Path, s3: Any) -> None:
        self.folder, self.s3 = folder, s3
        self.jobs: dict[str, Job] = {}
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.known_keys = {"test-access-key"}
        self.builds: dict[str, str] = {}  # image tag -> what it holds now; a tag that is not here holds its own name
        self.quotas = account_quotas()
        self.faults: list[tuple[str, Refused]] = []  # operation -> how its next call is refused
        plane = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
                target, _, operation = self.headers["X-Amz-Target"].partition(".")
                try:
                    key = self.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
                    status, answer = 200, plane.answer(target, operation, body, key)
                except Refused as refusal:
                    code, message = refusal.args
                    status, answer = 400, {"__type": code, "message": message}
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.1")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                """Keep pytest's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving and end every job."""
        self._server.shutdown()
        self._server.server_close()
        for job in self.jobs.values():
            job.abandon()

    def created(self) -> list[dict[str, Any]]:
        """The requests that created a job."""
        return [request for operation, request in self.calls if operation == "CreateTrainingJob"]

    def answer(self, target: str, operation: str, request: dict[str, Any], key: str) -> dict[str, Any]:
        if key not in self.known_keys:
            raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
        if violation := service_model.fault(_MODELS[target], operation, request):
            raise Refused("ValidationException", f"1 validation error detected: {violation}")
        for place, (faulty, refusal) in enumerate(self.faults):
            if faulty == operation:
                del self.faults[place]
                raise refusal
        self.calls.append((operation, request))
        return getattr(self, f"_{operation}")(request)  # type: ignore[no-any-return]

    def _CreateTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        name, limits = request["TrainingJobName"], request["StoppingCondition"]
        if name in self.jobs:
            raise Refused("ResourceInUse", f"Job name {name} is already in use: job names must be unique")
        kind = "spot training job" if request.get("EnableManagedSpotTraining") else "training job"
        quota = f"{request['ResourceConfig']['InstanceType']} for {kind} usage"
        if self.quotas[quota] < request["ResourceConfig"]["InstanceCount"]:
            raise Refused("ResourceLimitExceeded", f"The account-level service limit '{quota}' is {self.quotas[quota]}")
        if request.get("EnableManagedSpotTraining"):
            if limits.get("MaxWaitTimeInSeconds", 0) < limits["MaxRuntimeInSeconds"]:
                raise Refused("ValidationException", "MaxWaitTimeInSeconds must be at least MaxRuntimeInSeconds")
        elif "MaxWaitTimeInSeconds" in limits:
            raise Refused("ValidationException", "MaxWaitTimeInSeconds is for managed spot training only")
        self.jobs[name] = Job(request, self.folder / name, self.s3)
        self.jobs[name].start()
        return {"TrainingJobArn": self.jobs[name].arn}

    def _DescribeTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._job(request).describe()

    def _StopTrainingJob(self, request: dict[str, Any]) -> dict[str, Any]:
        self._job(request).stop()
        return {}

    def _BatchGetImage(self, request: dict[str, Any]) -> dict[str, Any]:
        (image,) = request["imageIds"]
        digest = hashlib.sha256(self.builds.get(image["imageTag"], image["imageTag"]).encode()).hexdigest()
        return {"images": [{"imageId": {**image, "imageDigest": f"sha256:{digest}"}, "imageManifest": "{}"}]}

    def _ListServiceQuotas(self, request: dict[str, Any]) -> dict[str, Any]:
        return list_service_quotas(self.quotas, request)

    def _RequestServiceQuotaIncrease(self, request: dict[str, Any]) -> dict[str, Any]:
        return request_increase(self.quotas, request)

    def _job(self, request: dict[str, Any]) -> Job:
        try:
            return self.jobs[request["TrainingJobName"]]
        except KeyError:
            raise Refused("ValidationException", "Requested resource not found.") from None

    def _DescribeLogStreams(self, request: dict[str, Any]) -> dict[str, Any]:
        prefix = request.get("logStreamNamePrefix", "")
        streams = {name for job in self.jobs.values() for name in job.log_files()}
        return {"logStreams": [{"logStreamName": name} for name in sorted(streams) if name.startswith(prefix)]}

    def _GetLogEvents(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["logGroupName"] != LOG_GROUP:
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        files = {name: path for job in self.jobs.values() for name, path in job.log_files().items()}
        lines = files[request["logStreamName"]].read_text(errors="replace").splitlines(keepends=True)
        whole = [line.rstrip("\n") for line in lines if line.endswith("\n")]
        begin = int(request.get("nextToken", "f/0").split("/")[1])
        page = whole[begin : begin + 1000]
        now = int(time.time() * 1000)
        return {
            "events": [{"timestamp": now, "ingestionTime": now, "message": line} for line in page],
            "nextForwardToken": f"f/{begin + len(page)}",
            "nextBackwardToken": f"b/{begin}",
        }
