"""The edge of a stage: logging set up, a user's fault told in one line, exit code 1."""

import logging
import sys
from collections.abc import Callable

from cxr.core.errors import CxrError


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage or a tool; a CxrError is printed as one line to stderr and ends the process with exit code 1."""
    setup_logging()
    try:
        main()
    except CxrError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def setup_logging() -> None:
    """One line a record on stderr: time, level, message."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
