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
GRACE = 30  # seconds for open requests when a worker ends
START = 120  # seconds for a worker to load its bundle, on a busy machine


class JsonLines(logging.Formatter):
    """Time, level, message and the fields passed as `extra={"fields": {...}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON line."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            # Type and place only: an exception's text may quote the film.
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
    """The process that answers requests. Its death during a health check is noticed at once.

    uvicorn leaves the worker's end of the pipe open in the supervising process, which then waits for a dead worker
    until the timeout.
    """

    def start(self) -> None:
        """Start the worker, and close its end of the pipe in this process."""
        super().start()
        self.child_conn.close()


def supervise(bundle: Path, limits: Limits, access: Access, host: str, port: int) -> None:
    """Serve a bundle until SIGTERM or SIGINT.

    Raises:
        CxrError: the bundle cannot be loaded; the log has the reason.
    """
    config = uvicorn.Config(
        functools.partial(_app, bundle, limits, access), factory=True, host=host, port=port, workers=1, lifespan="on",
        log_config=None, access_log=False, timeout_graceful_shutdown=GRACE, timeout_worker_healthcheck=START,
    )  # fmt: skip
    multiprocess.Process = Worker  # type: ignore[misc]
    supervisor = multiprocess.Multiprocess(config, sockets=[config.bind_socket()])
    supervisor.run()
    if any(process.exitcode == uvicorn.config.STARTUP_FAILURE for process in supervisor.processes):
        raise CxrError(f"{bundle}: cannot be served; see the line before")


def _app(bundle: Path, limits: Limits, access: Access) -> "FastAPI":
    """The application of a worker. The watching process stays small: it imports nothing of this."""
    from cxr.predict.service.app import create_app
    from cxr.predict.service.requests import model_fn

    log_as_json()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return create_app(functools.partial(model_fn, str(bundle)), limits, access)


def _end_with_parent() -> None:
    """End the worker when its supervisor is killed, so that it releases the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
