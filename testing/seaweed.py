"""A SeaweedFS server on free loopback ports."""

import contextlib
import itertools
import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"
_PORTS = tuple(f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc"))


def free_ports(count: int) -> list[int]:
    """Unused ports of the loopback interface."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


class SeaweedFS:
    """Master, volume server, filer and S3 gateway in one process, with a single account."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ports = dict(zip(_PORTS, free_ports(len(_PORTS)), strict=True))
        self.url = f"http://127.0.0.1:{self._ports['s3.port']}"
        identity = {
            "name": "tester",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, timeout_s: float = 180) -> None:
        """Start, and return once a bucket can be created and written."""
        beside = Path(sys.executable).with_name("weed")
        weed = str(beside) if beside.exists() else shutil.which("weed") or "weed"
        ports = [f"-{name}={port}" for name, port in self._ports.items()]
        quiet = [
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.iam=false",
            "-master.telemetry=false",
            "-volume.preStopSeconds=0",
        ]
        small = ["-master.volumeSizeLimitMB=256", "-volume.max=1000", "-s3.autoCreateBucket=false"]
        where = ["-dir", str(self.folder), "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.config={self.folder}/s3.json"]
        command = [weed, "-logtostderr", "server", *where, "-filer", "-s3", *ports, *quiet, *small]
        with (self.folder / "log").open("ab") as log:
            # It would use AWS_ACCESS_KEY_ID of the environment as another administrator.
            clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
            # A bucket uses 7 volumes by default; every test has a bucket, and the volumes would run out.
            clean["WEED_MASTER_VOLUME_GROWTH_COPY_1"] = "1"
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=clean)
        client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="eu-central-1",
            config=Config(retries={"total_max_attempts": 1}),
        )
        deadline = time.monotonic() + timeout_s
        for attempt in itertools.count():
            try:
                client.create_bucket(Bucket=f"warm-up-{attempt}")
                client.put_object(Bucket=f"warm-up-{attempt}", Key="x", Body=b"x")
                return
            except (BotoCoreError, ClientError) as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    tail = (self.folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"SeaweedFS did not start: {error}\n{tail}") from error
                time.sleep(0.2)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """A running server inside the block."""
        self.start()
        try:
            yield
        finally:
            self.stop()


class Cable:
    """A TCP proxy of a server that can be cut: from then on `url` refuses connections.

    With `limit`, the first response longer than this many bytes is truncated there, once. `answered` counts the
    response bytes.
    """

    def __init__(self, url: str, limit: int | None = None) -> None:
        self.limit, self.answered, self._is_cut = limit, 0, False
        cable = self
        target = ("127.0.0.1", int(url.rsplit(":", 1)[1]))
        self._ends: list[socket.socket] = []
        ends = self._ends

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with socket.create_connection(target) as far:
                    ends.extend((self.request, far))
                    if cable._is_cut:  # cut while this connection was opened
                        return
                    back = threading.Thread(target=_pump, args=(far, self.request, cable), daemon=True)
                    back.start()
                    _pump(self.request, far)
                    back.join()

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def cut(self) -> None:
        """Drop all connections and accept no more."""
        self._is_cut = True
        self._server.shutdown()
        self._server.socket.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _pump(source: socket.socket, sink: socket.socket, cable: Cable | None = None) -> None:
    passed = 0
    with contextlib.suppress(OSError):
        while block := source.recv(1 << 16):
            passed += len(block)
            if cable is not None and cable.limit is not None and passed > cable.limit:
                cable.limit = None
                break
            sink.sendall(block)
            if cable is not None:
                cable.answered += len(block)
        sink.shutdown(socket.SHUT_WR)
