"""Who trains the same run at the same moment takes turns."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Hold the folder of a run's state until it is trained; another process that trains the same run waits for that.

    Two experiments that differ after training only are one run to the train stage, and DVC's queue starts both: they
    would write over each other's state. If the holder dies, the next one resumes what it left. The other processes of a
    training on several devices belong to their first, which holds the folder for all.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        yield
        return
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # deleted in between
            continue
        try:
            _lock(descriptor, folder)
            if _is_still(folder, descriptor):  # a run that is complete deletes its folder
                yield
                return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("run %s is being trained by another process; waiting for it", folder.name)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        return


def _is_still(folder: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
