"""The service as a process of its own, for benchmarks and tests."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

START = 120  # seconds to load the bundle on a busy machine


@contextmanager
def serving(bundle: Path, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """Run the service as docker/serve does, with further options, on a free port; yields address and process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cxr", "serve", "--bundle", str(bundle), "--port", str(port), *options]
    process, url = subprocess.Popen(command, stdout=subprocess.DEVNULL), f"http://127.0.0.1:{port}"
    try:
        limit = time.monotonic() + START
        while time.monotonic() < limit and process.poll() is None:
            try:
                urllib.request.urlopen(f"{url}/ping", timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(60)


def worker(service: psutil.Process) -> psutil.Process:
    """The worker process: the youngest child. An older one may still be finishing its requests."""
    return max(service.children(), key=psutil.Process.create_time)
