"""A double of SageMaker's serving side: it checks requests against botocore's model and starts the real service.

CreateEndpoint fetches model.tar.gz from S3, unpacks it and starts the command that docker/serve starts, on a free port;
the endpoint is InService once /ping answers 200. InvokeEndpoint is passed on to /invocations.
"""

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.aws import service_model

ROOT = Path(__file__).parents[2]
SERVICE = service_model.load("sagemaker")
ARN = "arn:aws:sagemaker:eu-central-1:123456789012"
START_SECONDS = 60


class Refused(Exception):
    """An error of the service."""


class ServingPlane:
    """Models, endpoints and the registry of one account."""

    def __init__(self, folder: Path, s3: Any) -> None:
        self.folder, self.s3 = folder, s3
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.models: dict[str, dict[str, Any]] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, dict[str, Any]] = {}
        self.packages: list[dict[str, Any]] = []
        self.transforms: dict[str, dict[str, Any]] = {}
        self.speaks = True  # else errors have their code and no text, which AWS may change at any time
        self.processes: dict[str, tuple[subprocess.Popen[bytes], int]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving and end every endpoint's process."""
        self._server.shutdown()
        self._server.server_close()
        for name in list(self.processes):
            self._end(name)

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        if violation := service_model.fault(SERVICE, operation, request):
            raise Refused("ValidationException", f"1 validation error detected: {violation}")
        self.calls.append((operation, request))
        return getattr(self, f"_{operation}")(request)  # type: ignore[no-any-return]

    def invoke(self, name: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, str]:
        """What the endpoint's process says."""
        _, port = self.processes[name]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/invocations", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return 200, reply.read(), reply.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers["Content-Type"]

    def _DescribeModel(self, request: dict[str, Any]) -> dict[str, Any]:
        model = self._need(self.models, request["ModelName"])
        return {**model, "ModelArn": f"{ARN}:model/{request['ModelName']}", "CreationTime": 0}

    def _DescribeEndpointConfig(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        config = self._need(self.configs, name)
        return {**config, "EndpointConfigArn": f"{ARN}:endpoint-config/{name}", "CreationTime": 0}

    def _DescribeModelPackageGroup(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        facts = {"ModelPackageGroupArn": f"{ARN}:model-package-group/{name}", "ModelPackageGroupStatus": "Completed"}
        return {**self._need(self.groups, name), **facts, "CreationTime": 0, "CreatedBy": {}}

    def _CreateModel(self, request: dict[str, Any]) -> dict[str, Any]:
        return self._keep(self.models, "model", request["ModelName"], request, "ModelArn")

    def _CreateEndpointConfig(self, request: dict[str, Any]) -> dict[str, Any]:
        for variant in request["ProductionVariants"]:
            model = self._need(self.models, variant["ModelName"])
            if "ServerlessConfig" in variant and model.get("EnableNetworkIsolation"):
                raise Refused("ValidationException", "Network isolation is not supported for serverless endpoints.")
        return self._keep(self.configs, "endpoint-config", request["EndpointConfigName"], request, "EndpointConfigArn")

    def _CreateEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        config = self._need(self.configs, request["EndpointConfigName"])
        made = self._keep(self.endpoints, "endpoint", name, {**request, "Status": "Creating"}, "EndpointArn")
        model = self._need(self.models, config["ProductionVariants"][0]["ModelName"])
        threading.Thread(
            target=self._start, args=(name, model["PrimaryContainer"]["ModelDataUrl"]), daemon=True
        ).start()
        return made

    def _DescribeEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._need(self.endpoints, request["EndpointName"])
        facts = {"EndpointStatus": endpoint["Status"], "EndpointName": request["EndpointName"]}
        facts |= {"EndpointArn": f"{ARN}:endpoint/{request['EndpointName']}", "CreationTime": 0, "LastModifiedTime": 0}
        return facts | ({"FailureReason": endpoint["Reason"]} if "Reason" in endpoint else {})

    def _CreateTransformJob(self, request: dict[str, Any]) -> dict[str, Any]:
        self._need(self.models, request["ModelName"])
        if request["TransformJobName"] in self.transforms:
            raise Refused("ResourceInUse", "Job name must be unique within an AWS account and region")
        return self._keep(self.transforms, "transform-job", request["TransformJobName"], request, "TransformJobArn")

    def _DescribeTransformJob(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TransformJobName"]
        if name not in self.transforms:
            raise Refused("ResourceNotFound", "Could not find requested job with name")
        return {**self._need(self.transforms, name), "TransformJobStatus": "Completed", "CreationTime": 0}

    def _CreateModelPackageGroup(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        return self._keep(self.groups, "model-package-group", name, request, "ModelPackageGroupArn")

    def _CreateModelPackage(self, request: dict[str, Any]) -> dict[str, Any]:
        self._need(self.groups, request["ModelPackageGroupName"])
        self.packages.append(request)
        return {"ModelPackageArn": f"{ARN}:model-package/{request['ModelPackageGroupName']}/{len(self.packages)}"}

    def _DeleteEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        self._need(self.endpoints, request["EndpointName"])
        del self.endpoints[request["EndpointName"]]
        self._end(request["EndpointName"])
        return {}

    def _DeleteEndpointConfig(self, request: dict[str, Any]) -> dict[str, Any]:
        self._need(self.configs, request["EndpointConfigName"])
        del self.configs[request["EndpointConfigName"]]
        return {}

    def _DeleteModel(self, request: dict[str, Any]) -> dict[str, Any]:
        self._need(self.models, request["ModelName"])
        del self.models[request["ModelName"]]
        return {}

    @staticmethod
    def _need(things: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
        if name not in things:
            raise Refused("ValidationException", f'Could not find "{name}".')
        return things[name]

    @staticmethod
    def _keep(things: dict[str, Any], kind: str, name: str, request: dict[str, Any], arn: str) -> dict[str, Any]:
        if name in things:
            raise Refused("ValidationException", f'Cannot create already existing {kind} "{ARN}:{kind}/{name}".')
        things[name] = request
        return {arn: f"{ARN}:{kind}/{name}"}

    def _start(self, name: str, url: str) -> None:
        try:
            bucket, _, key = url.removeprefix("s3://").partition("/")
            content = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            model = self.folder / name
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                archive.extractall(model, filter="data")
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            command = [sys.executable, "-m", "cxr", "serve", "--bundle", str(model), "--port", str(port)]
            log = (self.folder / f"{name}.log").open("wb")
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=_container_environment())
            self.processes[name] = process, port
            self._await_ping(process, port)
            self.endpoints[name]["Status"] = "InService"
        except Exception as error:
            if name in self.endpoints:
                self.endpoints[name] |= {"Status": "Failed", "Reason": f"The primary container did not pass: {error}"}

    @staticmethod
    def _await_ping(process: subprocess.Popen[bytes], port: int) -> None:
        limit = time.monotonic() + START_SECONDS
        while time.monotonic() < limit:
            if process.poll() is not None:
                raise RuntimeError(f"the container ended with code {process.returncode}")
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=2).close()
                return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError("no answer to /ping")

    def _end(self, name: str) -> None:
        if name in self.processes:
            process, _ = self.processes.pop(name)
            process.terminate()
            process.wait(120)


def _container_environment() -> dict[str, str]:
    """No credential and no address of a service: with network isolation a container has neither."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def _handler(plane: ServingPlane) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.startswith("/endpoints/"):
                names = ("Content-Type", "Accept")
                headers = {name: self.headers[name] for name in names if self.headers[name]}
                status, content, kind = plane.invoke(self.path.split("/")[2], body, headers)
                if status != 200:
                    problem = {"message": content.decode(), "OriginalStatusCode": status}
                    status, content, kind = 424, json.dumps(problem).encode(), "application/json"
            else:
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                kind = "application/x-amz-json-1.1"
                try:
                    status, content = 200, json.dumps(plane.answer(operation, json.loads(body))).encode()
                except Refused as refusal:
                    code, message = refusal.args if plane.speaks else (refusal.args[0], "")
                    status, content = 400, json.dumps({"__type": code, "message": message}).encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            """Keep pytest's output clean."""

    return Handler
