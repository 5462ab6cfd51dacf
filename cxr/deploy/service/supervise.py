"""One process that answers, and one that watches it and holds the port.

A worker that dies is replaced; who asks meanwhile waits a moment longer. SIGHUP loads the bundle anew: the next worker
is loaded and warm before the last one stops taking requests and ends those at work. Where it cannot be loaded, the last
one stays. uvicorn's own supervisor does all of this; here it watches one worker, whose threads share the model.
"""

import functools
import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.supervisors import multiprocess

from cxr.core.errors import CxrError
from cxr.deploy.service.limits import Limits
from cxr.deploy.service.log import log_as_json

if TYPE_CHECKING:
    from fastapi import FastAPI

GRACE = 30  # seconds for requests at work when a worker is to end
START = 120  # seconds for a worker to load its bundle, on a busy machine


class Worker(multiprocess.Process):
    """The process that answers. Where it dies while it is asked for a sign of life, that is seen at once.

    uvicorn leaves the worker's end of the pipe open in the watching process, which then waits for the answer of a dead
    worker until its patience ends.
    """

    def start(self) -> None:
        """Start it; its end of the pipe is its own from then on."""
        super().start()
        self.child_conn.close()


def supervise(bundle: Path, limits: Limits, host: str, port: int) -> None:
    """Serve a bundle until SIGTERM or SIGINT.

    Raises:
        CxrError: the bundle cannot be loaded; the log says why.
    """
    config = uvicorn.Config(
        functools.partial(_app, bundle, limits), factory=True, host=host, port=port, workers=1, lifespan="on",
        log_config=None, access_log=False, timeout_graceful_shutdown=GRACE, timeout_worker_healthcheck=START,
    )  # fmt: skip
    multiprocess.Process = Worker  # type: ignore[misc]
    supervisor = multiprocess.Multiprocess(config, sockets=[config.bind_socket()])
    supervisor.run()
    if any(process.exitcode == uvicorn.config.STARTUP_FAILURE for process in supervisor.processes):
        raise CxrError(f"{bundle}: cannot be served; the line before says why")


def _app(bundle: Path, limits: Limits) -> "FastAPI":
    """The application of a worker. The watching process stays small: it imports nothing of this."""
    from cxr.deploy.inference import model_fn
    from cxr.deploy.service.app import create_app

    log_as_json()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return create_app(functools.partial(model_fn, str(bundle)), limits)


def _end_with_parent() -> None:
    """A worker must not hold the port when the process that watches it was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
