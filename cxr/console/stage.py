"""The edge of a stage: logging set up, a user's fault as one line, exit code 1."""

import logging
import os
import sys
from collections.abc import Callable

from cxr.core.errors import CxrError


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage or a tool; a CxrError becomes one line on stderr for each fault, and exit code 1."""
    setup_logging()
    try:
        main()
    except CxrError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        if "DVC_STAGE" in os.environ and os.environ.get("DVC_ROOT") == os.getcwd():  # not in a queue's own folder
            print("`make restore` goes back to the parameters and results of the last commit", file=sys.stderr)
        sys.exit(1)


def setup_logging() -> None:
    """One line a record on stderr: time, level, message."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
