"""The server: workers that are replaced when they die, and logs as JSON lines."""

import functools
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors import multiprocess

from cxr.core.errors import CxrError
from cxr.predict.service.access import Access
from cxr.predict.service.workers import Limits

if TYPE_CHECKING:
    from fastapi import FastAPI
GRACE = 30  # seconds for requests at work when a worker is to end
START = 120  # seconds for a worker to load its bundle, on a busy machine


class JsonLines(logging.Formatter):
    """Time, level, message and the fields passed as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            # The type and the place only: an exception's text may hold what was in the file.
            kind, _, trace = record.exc_info
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
            entry |= {"fault": kind.__name__ if kind else "", "at": place}
        return json.dumps(entry)


def log_as_json() -> None:
    """Send all records of this process to stdout as JSON lines."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class Worker(multiprocess.Process):
    """The process that answers. Where it dies while it is asked for a sign of life, that is seen at once.

    uvicorn leaves the worker's end of the pipe open in the watching process, which then waits for the answer of a dead
    worker until its patience ends.
    """

    def start(self) -> None:
        """Start it; its end of the pipe is its own from then on."""
        super().start()
        self.child_conn.close()


def supervise(bundle: Path, limits: Limits, access: Access, host: str, port: int) -> None:
    """Serve a bundle until SIGTERM or SIGINT.

    Raises:
        CxrError: the bundle cannot be loaded; the log says why.
    """
    config = uvicorn.Config(
        functools.partial(_app, bundle, limits, access), factory=True, host=host, port=port, workers=1, lifespan="on",
        log_config=None, access_log=False, timeout_graceful_shutdown=GRACE, timeout_worker_healthcheck=START,
    )  # fmt: skip
    multiprocess.Process = Worker  # type: ignore[misc]
    supervisor = multiprocess.Multiprocess(config, sockets=[config.bind_socket()])
    supervisor.run()
    if any(process.exitcode == uvicorn.config.STARTUP_FAILURE for process in supervisor.processes):
        raise CxrError(f"{bundle}: cannot be served; the line before says why")


def _app(bundle: Path, limits: Limits, access: Access) -> "FastAPI":
    """The application of a worker. The watching process stays small: it imports nothing of this."""
    from cxr.predict.service.app import create_app
    from cxr.predict.service.requests import model_fn

    log_as_json()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return create_app(functools.partial(model_fn, str(bundle)), limits, access)


def _end_with_parent() -> None:
    """A worker must not hold the port when the process that watches it was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
