"""Serve a bundle over HTTP: `python -m tools.serve --bundle models/bundle`, then open http://127.0.0.1:8080.

/ping and /invocations are what SageMaker asks for, /metrics is for Prometheus, and / is a page for people.
SIGTERM lets the films at work end. SIGHUP loads the bundle anew, without a pause.
"""

import argparse
from pathlib import Path

from cxr.bundle.files import verify_sums
from cxr.predict.service.supervisor import log_as_json, supervise
from cxr.predict.service.workers import Limits
from cxr.runtime.console import run_stage

DEFAULTS = Limits()


def main(arguments: list[str] | None = None) -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m tools.serve", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder that the package stage wrote")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--workers", type=int, default=DEFAULTS.workers, help="films read at one time")
    parser.add_argument("--queue", type=int, default=DEFAULTS.queue, help="films waiting before a 503")
    parser.add_argument("--max-mb", type=float, default=DEFAULTS.max_bytes / 1e6, help="largest request")
    parser.add_argument("--seconds", type=float, default=DEFAULTS.seconds, help="time limit of a film")
    options = parser.parse_args(arguments)
    verify_sums(options.bundle)
    limits = Limits(
        max_bytes=int(options.max_mb * 1e6), queue=options.queue, seconds=options.seconds, workers=options.workers
    )
    log_as_json()
    supervise(options.bundle, limits, options.host, options.port)


if __name__ == "__main__":
    run_stage(main)
