"""The edge of a stage: logging set up, a user's or a disk's fault as one line, exit code 1."""

import errno
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from cxr.core.errors import CxrError

_WRITABLE = "let it be written, or work in a folder that can be"
DISK = {  # what a disk refuses, and what to do about it
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or ask for more",
    errno.EFBIG: "raise the limit (ulimit -f)",
    errno.EROFS: _WRITABLE,
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EIO: "look at the disk (dmesg)",
}


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage or a tool; a CxrError becomes one line on stderr for each fault, and exit code 1.

    So does what a disk refuses: full, read-only, not permitted, broken.
    """
    setup_logging()
    try:
        main()
    except CxrError as error:
        _fail(str(error).splitlines())
    except OSError as error:
        if error.errno not in DISK:
            raise
        remedy = f"{DISK[error.errno]}, then run again: what was finished is kept"
        _fail([f"{error.filename or 'the disk'}: {error.strerror}; {remedy}"])


def _fail(lines: list[str]) -> NoReturn:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if "DVC_STAGE" in os.environ and os.environ.get("DVC_ROOT") == os.getcwd():  # not in a queue's own folder
        print("`make restore` goes back to the parameters and results of the last commit", file=sys.stderr)
    sys.exit(1)


def setup_logging() -> None:
    """One line a record on stderr: time, level, message."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
