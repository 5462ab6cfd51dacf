"""A double of SageMaker's serving side and of Service Quotas: requests are checked, the real service answers.

CreateEndpoint fetches model.tar.gz from S3, unpacks it and runs docker/serve on a free port; the endpoint is InService
once /ping answers 200. InvokeEndpoint is passed on to /invocations. CreateTransformJob does this for the films below
a prefix.
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
from tests.aws.account_quotas import account_quotas, list_service_quotas

ROOT = Path(__file__).parents[2]
SERVICE = service_model.load("sagemaker")
_QUOTAS = service_model.load("service-quotas")
ARN = "arn:aws:sagemaker:eu-central-1:123456789012"
START_SECONDS = 60
DOCKER_V2 = "application/vnd.docker.distribution.manifest.v2+json"


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
        self.manifests: dict[str, str] = {}  # image -> media type of its manifest, where it is not Docker's
        self.quotas = account_quotas()
        self.by_hand = False  # a test moves transform jobs from state to state
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
        model = _QUOTAS if operation in _QUOTAS.operation_names else SERVICE
        if violation := service_model.fault(model, operation, request):
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

    def _ListServiceQuotas(self, request: dict[str, Any]) -> dict[str, Any]:
        return list_service_quotas(self.quotas, request)

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
        manifest = self.manifests.get(request["PrimaryContainer"]["Image"], DOCKER_V2)
        if manifest != DOCKER_V2:
            raise Refused("ValidationException", f"Unsupported manifest media type {manifest}.")
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
        threading.Thread(target=self._start, args=(name, model), daemon=True).start()
        return made

    def _UpdateEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        endpoint, config = self._need(self.endpoints, name), self._need(self.configs, request["EndpointConfigName"])
        if endpoint["Status"] != "InService":
            raise Refused("ValidationException", "Cannot update in-progress endpoint.")
        old = self.configs[endpoint["EndpointConfigName"]]["ProductionVariants"][0]
        if "ServerlessConfig" in config["ProductionVariants"][0] and "ServerlessConfig" not in old:
            raise Refused("ValidationException", "Cannot convert an instance-based endpoint to serverless.")
        endpoint["Status"] = "Updating"
        model = self._need(self.models, config["ProductionVariants"][0]["ModelName"])
        threading.Thread(target=self._replace, args=(name, request["EndpointConfigName"], model), daemon=True).start()
        return {"EndpointArn": f"{ARN}:endpoint/{name}"}

    def _replace(self, name: str, config: str, model: dict[str, Any]) -> None:
        """The old container answers until the new one does; where that fails, the old one stays."""
        endpoint, old = self.endpoints[name], self.processes.pop(name)
        try:
            self._run_container(name, model, {})
            endpoint["EndpointConfigName"] = config
        except Exception as error:
            self._end(name)
            self.processes[name] = old
            endpoint["Reason"] = f"The primary container did not pass: {error}"
        else:
            old[0].terminate()
            old[0].wait(120)
        endpoint["Status"] = "InService"

    def _DescribeEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        endpoint = self._need(self.endpoints, request["EndpointName"])
        facts = {"EndpointStatus": endpoint["Status"], "EndpointName": request["EndpointName"]}
        facts |= {"EndpointConfigName": endpoint["EndpointConfigName"]}
        facts |= {"EndpointArn": f"{ARN}:endpoint/{request['EndpointName']}", "CreationTime": 0, "LastModifiedTime": 0}
        return facts | ({"FailureReason": endpoint["Reason"]} if "Reason" in endpoint else {})

    def _CreateTransformJob(self, request: dict[str, Any]) -> dict[str, Any]:
        self._need(self.models, request["ModelName"])
        name = request["TransformJobName"]
        if name in self.transforms:
            raise Refused("ResourceInUse", "Job name must be unique within an AWS account and region")
        if request.get("MaxConcurrentTransforms", 1) * request["MaxPayloadInMB"] > 100:
            raise Refused("ValidationException", "MaxConcurrentTransforms * MaxPayloadInMB must not exceed 100")
        self.transforms[name] = {**request, "Status": "InProgress"}
        if not self.by_hand:
            threading.Thread(target=self._transform, args=(name,), daemon=True).start()
        return {"TransformJobArn": f"{ARN}:transform-job/{name}"}

    def _StopTransformJob(self, request: dict[str, Any]) -> dict[str, Any]:
        self.transforms[request["TransformJobName"]]["Status"] = "Stopped"
        return {}

    def _DescribeTransformJob(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TransformJobName"]
        if name not in self.transforms:
            raise Refused("ResourceNotFound", "Could not find requested job with name")
        job = dict(self.transforms[name])
        reason = {"FailureReason": job.pop("Reason")} if "Reason" in job else {}
        return {**job, **reason, "TransformJobStatus": job.pop("Status"), "CreationTime": 0}

    def _CreateModelPackageGroup(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        return self._keep(self.groups, "model-package-group", name, request, "ModelPackageGroupArn")

    def _CreateModelPackage(self, request: dict[str, Any]) -> dict[str, Any]:
        self._need(self.groups, request["ModelPackageGroupName"])
        self.packages.append(request)
        return {"ModelPackageArn": f"{ARN}:model-package/{request['ModelPackageGroupName']}/{len(self.packages)}"}

    def _ListEndpoints(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Endpoints": self._listed("endpoint", "Endpoint", self.endpoints, request)}

    def _ListEndpointConfigs(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"EndpointConfigs": self._listed("endpoint-config", "EndpointConfig", self.configs, request)}

    def _ListModels(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"Models": self._listed("model", "Model", self.models, request)}

    def _ListTransformJobs(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"TransformJobSummaries": self._listed("transform-job", "TransformJob", self.transforms, request)}

    @staticmethod
    def _listed(kind: str, prefix: str, things: dict[str, Any], request: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {f"{prefix}Name": name, f"{prefix}Arn": f"{ARN}:{kind}/{name}", "CreationTime": 0}
            | ({f"{prefix}Status": thing["Status"], "LastModifiedTime": 0} if "Status" in thing else {})
            for name, thing in things.items()
            if request["NameContains"] in name
        ]

    def _ListTags(self, request: dict[str, Any]) -> dict[str, Any]:
        kind, _, name = request["ResourceArn"].rpartition(":")[2].partition("/")
        things = {"endpoint": self.endpoints, "endpoint-config": self.configs, "model": self.models}
        things["transform-job"] = self.transforms
        return {"Tags": things[kind][name].get("Tags", [])}

    def _DeleteEndpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._need(self.endpoints, request["EndpointName"])["Status"] == "Creating":
            raise Refused("ValidationException", "Cannot update in-progress endpoint.")
        del self.endpoints[request["EndpointName"]]
        self._end(request["EndpointName"])
        return {}

    def _DeleteEndpointConfig(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointConfigName"]
        self._need(self.configs, name)
        for endpoint in self.endpoints.values():
            if endpoint["EndpointConfigName"] == name:
                raise Refused("ValidationException", "Cannot delete the configuration of an endpoint.")
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

    def _start(self, name: str, model: dict[str, Any]) -> None:
        try:
            self._run_container(name, model, {})
            self.endpoints[name]["Status"] = "InService"
        except Exception as error:
            if name in self.endpoints:
                self.endpoints[name] |= {"Status": "Failed", "Reason": f"The primary container did not pass: {error}"}

    def _run_container(self, name: str, model: dict[str, Any], environment: dict[str, str]) -> None:
        """Run `serve` as the image has it, over the unpacked model.tar.gz; returns once /ping answers 200."""
        container = model["PrimaryContainer"]
        bucket, _, key = container["ModelDataUrl"].removeprefix("s3://").partition("/")
        content = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        folder = self.folder / f"{name}-{port}"
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(folder, filter="data")
        environment |= container.get("Environment", {})
        environment |= {"SM_MODEL_DIR": str(folder), "SAGEMAKER_BIND_TO_PORT": str(port)}
        log = (self.folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            ["sh", "docker/serve"], cwd=ROOT, stdout=log, stderr=log, env=_container_environment() | environment
        )
        self.processes[name] = process, port
        self._await_ping(process, port)

    def _transform(self, name: str) -> None:
        job = self.transforms[name]
        try:
            self._run_transform(name, job)
            job["Status"] = "Completed"
        except Exception as error:
            job |= {"Status": "Failed", "Reason": f"ClientError: {error}"}
        finally:
            self._end(name)

    def _run_transform(self, name: str, job: dict[str, Any]) -> None:
        """Send each film below the prefix to the container; the first answer other than 200 fails the whole job."""
        limit = job["MaxPayloadInMB"]
        environment = {"SAGEMAKER_BATCH": "true", "SAGEMAKER_MAX_PAYLOAD_IN_MB": str(limit)}
        self._run_container(name, self._need(self.models, job["ModelName"]), environment)
        source = job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"].removeprefix("s3://")
        bucket, _, prefix = source.partition("/")
        for entry in self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
            film = self.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
            if len(film) > limit * 2**20:
                raise RuntimeError(f"{entry['Key']}: Max payload size exceeded: {limit} MB")
            headers = {"Content-Type": job["TransformInput"]["ContentType"], "Accept": "application/json"}
            status, answer, _ = self.invoke(name, film, headers)
            if status != 200:
                raise RuntimeError(f"{entry['Key']}: Bad HTTP status received from algorithm: {status}")
            out, _, folder = job["TransformOutput"]["S3OutputPath"].removeprefix("s3://").partition("/")
            key = f"{folder.rstrip('/')}/{entry['Key'].removeprefix(prefix)}.out"
            self.s3.put_object(Bucket=out, Key=key, Body=answer)

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
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "CXR_"))}
    return kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


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
