"""One training job of the control-plane double: its folders, its container, its checkpoints, its end."""

import io
import json
import sys
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.aws import container

ACCOUNT = "123456789012"  # AWS's own example number
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
GRACE_S = 30.0  # SageMaker gives 120 s between SIGTERM and SIGKILL
MIRROR_S = 0.2


class Job(threading.Thread):
    """Runs a CreateTrainingJob request from Starting to its end."""

    image_python = Path(sys.executable)  # stands for the image: Python and its packages

    def __init__(self, request: dict[str, Any], folder: Path, s3: Any) -> None:
        super().__init__(daemon=True)
        self.request, self.folder, self.s3 = request, folder, s3
        self.job_name = request["TrainingJobName"]
        self.arn = f"arn:aws:sagemaker:eu-central-1:{ACCOUNT}:training-job/{self.job_name}"
        self.hosts = [f"algo-{number + 1}" for number in range(request["ResourceConfig"]["InstanceCount"])]
        self.status, self.failure, self.transitions = "InProgress", "", list[dict[str, Any]]()
        self.role_calls: list[tuple[str, str]] = []  # (S3 action, key): what the job's role must be allowed
        self.mirrored: dict[Path, tuple[int, int]] = {}  # checkpoint file -> its time and size when last copied to S3
        self.runs = 0
        self._tree: container.Tree | None = None
        self._stopped = self._interrupted = self._overtime = False
        self._lock = threading.Lock()

    def describe(self) -> dict[str, Any]:
        """The DescribeTrainingJob response."""
        kept = ("TrainingJobName", "HyperParameters", "AlgorithmSpecification", "RoleArn", "InputDataConfig")
        kept += ("OutputDataConfig", "ResourceConfig", "StoppingCondition", "CheckpointConfig", "Environment")
        now = time.time()
        answer = {name: self.request[name] for name in kept if name in self.request}
        answer |= {
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.transitions[-1]["Status"] if self.transitions else "Starting",
            "SecondaryStatusTransitions": self.transitions,
            "ModelArtifacts": {"S3ModelArtifacts": self._artifact()},
            "CreationTime": now,
            "LastModifiedTime": now,
            "EnableNetworkIsolation": self.request.get("EnableNetworkIsolation", False),
        }
        return answer | ({"FailureReason": self.failure} if self.failure else {})

    def log_files(self) -> dict[str, Path]:
        """Log stream -> file."""
        runs = self.folder.glob("run-*/*.log") if self.folder.is_dir() else []
        return {f"{self.job_name}/{path.stem}-{path.parent.name}": path for path in runs}

    def stop(self) -> None:
        """As StopTrainingJob: SIGTERM, later SIGKILL."""
        self._stopped = True
        self._enter("Stopping", "Stopping the training job")
        self.status = "Stopping"
        self._end()

    def interrupt(self) -> None:
        """Take the spot instance away without a word."""
        assert self.request.get("EnableManagedSpotTraining"), "only a spot job is interrupted"
        self._interrupted = True
        assert self._tree is not None
        self._tree.kill()

    def abandon(self) -> None:
        """End it at the end of a test."""
        self._stopped = True
        if self._tree is not None:
            self._tree.kill()
        self.join(timeout=20)

    def run(self) -> None:
        """Starting, Downloading, Training, Uploading, and the end."""
        try:
            self._lifecycle()
        except Exception as error:
            self.failure = f"InternalServerError: {type(error).__name__}: {error}"[:1024]
            self._finish("Failed", "Failed", self.failure)

    def _lifecycle(self) -> None:
        while True:
            self.runs += 1
            place = self.folder / f"run-{self.runs}"
            self._enter("Starting", "Launching requested ML instances")
            self._enter("Downloading", "Downloading input data")
            missing = self._prepare(place)
            if missing:
                self.failure = f"ClientError: Data download failed: no S3 objects found under {missing}"
                return self._finish("Failed", "Failed", self.failure)
            self._enter("Training", "Training image download completed. Training in progress.")
            code = 0 if self._stopped else self._train(place)
            if self._interrupted:
                self._interrupted = False
                self._enter("Interrupted", "The spot instance was reclaimed; waiting for capacity")
                continue
            break
        self._enter("Uploading", "Uploading generated training model")
        self._upload_model(place)
        if self._stopped:
            reason = "MaxRuntimeExceeded" if self._overtime else "Stopped"
            return self._finish("Stopped", reason, "Training job stopped")
        if code:
            told = [place / host / "output" / "failure" for host in self.hosts]
            text = next((path.read_text() for path in told if path.exists()), "")
            self.failure = f"AlgorithmError: {text}, exit code: {code}"[:1024]
            return self._finish("Failed", "Failed", "Training job failed")
        return self._finish("Completed", "Completed", "Training job completed")

    def _prepare(self, place: Path) -> str | None:
        """Lay out /opt/ml of each host; returns the address of a channel without any object, if there is one."""
        config = self.request["ResourceConfig"]
        (place / "tmp").mkdir(parents=True)
        for host in self.hosts:
            home = place / host
            for name in ("input/data", "input/config", "model", "output/data", "checkpoints"):
                (home / name).mkdir(parents=True)
            for channel in self.request["InputDataConfig"]:
                source = channel["DataSource"]["S3DataSource"]
                download = {"S3Prefix": self._download, "ManifestFile": self._download_listed}[source["S3DataType"]]
                if not download(source["S3Uri"], home / "input" / "data" / channel["ChannelName"]):
                    return str(source["S3Uri"])
            self._download(self.request["CheckpointConfig"]["S3Uri"], home / "checkpoints")
            facts = {"current_host": host, "hosts": self.hosts, "network_interface_name": "lo"}
            facts |= {"current_instance_type": config["InstanceType"]}
            (home / "input/config/resourceconfig.json").write_text(json.dumps(facts))
            parameters = json.dumps(self.request.get("HyperParameters", {}))
            (home / "input/config/hyperparameters.json").write_text(parameters)
        return None

    def _train(self, place: Path) -> int:
        algorithm = self.request["AlgorithmSpecification"]
        command = [*algorithm["ContainerEntrypoint"], *algorithm.get("ContainerArguments", [])]
        path = f"{self.image_python.parent}:/usr/bin:/bin:/usr/sbin:/sbin"
        environment = {"PATH": path, "HOME": "/tmp", "LANG": "C.UTF-8"}
        environment["TMPDIR"] = str(place / "tmp")  # every container has a /tmp of its own
        environment["OMP_NUM_THREADS"] = "1"  # tiny networks: threads would only wait for each other
        environment |= {"TRAINING_JOB_NAME": self.job_name, "AWS_REGION": "eu-central-1"}
        environment |= self.request.get("Environment", {})
        isolated = bool(self.request.get("EnableNetworkIsolation"))
        self._tree = container.start(place, self.hosts, command, environment, isolated)
        done = threading.Event()
        mirror = threading.Thread(target=self._mirror, args=(place, done), daemon=True)
        mirror.start()
        limit = self.request["StoppingCondition"]["MaxRuntimeInSeconds"]
        clock = threading.Timer(limit, self._out_of_time)
        clock.start()
        code = self._tree.wait()
        clock.cancel()
        done.set()
        mirror.join()
        return code

    def _out_of_time(self) -> None:
        self._stopped = self._overtime = True
        self._end()

    def _end(self) -> None:
        if self._tree is not None:
            self._tree.terminate()
            killer = threading.Timer(GRACE_S, self._tree.kill)
            killer.daemon = True
            killer.start()

    def _mirror(self, place: Path, done: threading.Event) -> None:
        """Copy new and changed checkpoint files to S3 during the job and after it, and delete those that are gone.

        An interruption loses the rest.
        """
        address = self.request["CheckpointConfig"]["S3Uri"]
        while True:
            last = done.wait(MIRROR_S)
            if last and self._interrupted:
                return
            for host in self.hosts:
                root = place / host / "checkpoints"
                for path in [path for path in root.rglob("*") if path.is_file()]:
                    try:
                        stat = path.stat()
                        stamp = (stat.st_mtime_ns, stat.st_size)
                        if self.mirrored.get(path) == stamp:
                            continue
                        content = path.read_bytes()
                    except FileNotFoundError:
                        continue  # replaced or removed meanwhile
                    self._put(f"{address}{path.relative_to(root).as_posix()}", content)
                    self.mirrored[path] = stamp
                for path in [path for path in self.mirrored if path.is_relative_to(root) and not path.exists()]:
                    self._remove(f"{address}{path.relative_to(root).as_posix()}")
                    del self.mirrored[path]
            if last:
                return

    def _download(self, address: str, target: Path) -> int:
        """True prefix semantics: every object whose key begins with the prefix, named by the rest of its key."""
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self.role_calls.append(("s3:ListBucket", bucket))
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        for key in keys:
            self._get(bucket, key, target / key.removeprefix(prefix).lstrip("/"))
        return len(keys)

    def _download_listed(self, address: str, target: Path) -> int:
        """What a manifest lists: a prefix, then keys below it, which become the names. None when one is not there."""
        bucket, _, key = address.removeprefix("s3://").partition("/")
        listing = target.parent / "manifest"
        try:
            self._get(bucket, key, listing)
            head, *names = json.loads(listing.read_text())
            prefix = head["prefix"].removeprefix(f"s3://{bucket}/")
            for name in names:
                self._get(bucket, prefix + name, target / name)
        except self.s3.exceptions.NoSuchKey:
            return 0
        return len(names)

    def _get(self, bucket: str, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        self.role_calls.append(("s3:GetObject", f"{bucket}/{key}"))

    def checkpoints(self) -> list[bytes]:
        """Contents of the checkpoint files as they lie on S3."""
        bucket, _, prefix = self.request["CheckpointConfig"]["S3Uri"].removeprefix("s3://").partition("/")
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return [self.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in found]

    def _put(self, address: str, content: bytes) -> None:
        bucket, _, key = address.removeprefix("s3://").partition("/")
        self.s3.put_object(Bucket=bucket, Key=key, Body=content)
        self.role_calls.append(("s3:PutObject", f"{bucket}/{key}"))

    def _remove(self, address: str) -> None:
        bucket, _, key = address.removeprefix("s3://").partition("/")
        self.s3.delete_object(Bucket=bucket, Key=key)
        self.role_calls.append(("s3:DeleteObject", f"{bucket}/{key}"))

    def _artifact(self) -> str:
        return f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.job_name}/output/model.tar.gz"

    def _upload_model(self, place: Path) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for host in self.hosts:
                for path in sorted((place / host / "model").rglob("*")):
                    archive.add(path, arcname=str(path.relative_to(place / host / "model")), recursive=False)
        self._put(self._artifact(), buffer.getvalue())

    def _enter(self, status: str, message: str) -> None:
        with self._lock:
            now = time.time()
            if self.transitions:
                self.transitions[-1].setdefault("EndTime", now)
            self.transitions.append({"Status": status, "StartTime": now, "StatusMessage": message})

    def _finish(self, status: str, secondary: str, message: str) -> None:
        self._enter(secondary, message)
        self.status = status
