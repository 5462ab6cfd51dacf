"""Console output of a command: progress, log lines, one line per error."""

import errno
import gc
import io
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn, TypeVar

from tqdm import tqdm

from cxr.core.errors import CxrError

T = TypeVar("T")
log = logging.getLogger(__name__)
LOG_SECONDS = 5.0
# New objects between two collections of garbage. Imports make a million objects and no garbage: looking through them at
# Python's every 700 takes a fifth of a stage's start.
COLLECT_AFTER = 10_000
_WRITABLE = "make it writable, or work in another folder"
DISK = {  # disk errors that the user can correct, and the remedy
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or raise the quota",
    errno.EFBIG: "raise the limit (ulimit -f)",
    errno.EROFS: _WRITABLE,
    errno.EACCES: _WRITABLE,
    errno.EPERM: _WRITABLE,
    errno.EIO: "check the disk (dmesg)",
}


class _LogLines(io.StringIO):
    """A text stream that logs each refresh of a progress bar as one line."""

    def write(self, text: str) -> int:
        line = text.strip()
        if line:
            log.info(line)
        return len(text)


def progress(items: Iterable[T], total: int, description: str, unit: str = "film") -> Iterator[T]:
    """Yield the items while showing count, rate and time left."""
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=description, unit=unit)
        return
    yield from tqdm(
        items,
        total=total,
        desc=description,
        unit=unit,
        file=_LogLines(),
        mininterval=LOG_SECONDS,
        miniters=1,
        ascii=True,
        bar_format="{desc}: {n_fmt}/{total_fmt} {unit}s, {rate_fmt}, {remaining} left",
    )


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage or a command; a CxrError becomes one line per error on stderr, and exit code 1.

    So do disk errors: full, read-only, not permitted, broken.
    """
    setup_logging()
    gc.set_threshold(COLLECT_AFTER)
    try:
        main()
    except CxrError as error:
        _fail(str(error).splitlines())
    except OSError as error:
        if error.errno not in DISK:
            raise
        remedy = f"{DISK[error.errno]}, then run again: finished work is kept"
        _fail([f"{error.filename or 'the disk'}: {error.strerror}; {remedy}"])


def _fail(lines: list[str]) -> NoReturn:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    if (
        "DVC_STAGE" in os.environ and os.environ.get("DVC_ROOT") == os.getcwd()
    ):  # not in the copy of a queued experiment
        print("`make restore` restores the parameters and results of the last commit", file=sys.stderr)
    sys.exit(1)


def setup_logging() -> None:
    """One line per record on stderr: time, level, message."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname).1s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # else one line per request to the Hugging Face Hub
