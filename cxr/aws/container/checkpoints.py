"""The state of unfinished runs in /opt/ml/checkpoints: two alternating files with fixed names, never deleted.

SageMaker copies that folder to S3 file by file while the job runs, and mirrors deletions. Training therefore keeps its
state in scratch space. After each change, the whole state is written to one of the two files, as a tar archive after a
line with its number and hash. A copy of a half-written file fails its hash; the other file then has the previous state.
Standard library only.
"""

import contextlib
import hashlib
import io
import json
import sys
import tarfile
import threading
from pathlib import Path

SLOTS = ("state-a", "state-b")
CHECK_S = 2.0
Signature = dict[str, tuple[int, int]]


class Checkpoints:
    """Saves a folder to two alternating files of another folder."""

    def __init__(self, runs: Path, kept: Path) -> None:
        self.runs, self.kept = runs, kept
        self._seen: Signature = {}
        self._number = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Restore the newest complete state, and save every later one.

        Ends the process if the state has members other than regular files below its folder; training writes no others.
        """
        self.runs.mkdir(parents=True, exist_ok=True)
        states = [(*state, name) for name in SLOTS if (state := read(self.kept / name))]
        if states:
            self._number, archive, name = max(states)
            try:
                with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                    tar.extractall(self.runs, filter="data")
            except tarfile.TarError as error:
                fault = f"the state of the unfinished job is refused ({type(error).__name__})"
                sys.exit(f"{self.kept / name}: {fault}; delete it from the bucket and run again")
        self._seen = _signature(self.runs)
        self._thread.start()

    def finish(self) -> None:
        """Save the final state."""
        self._done.set()
        self._thread.join()
        self._keep()

    def _watch(self) -> None:
        while not self._done.wait(CHECK_S):
            self._keep()

    def _keep(self) -> None:
        before = _signature(self.runs)
        if before == self._seen:
            return
        archive = io.BytesIO()
        try:
            with tarfile.open(fileobj=archive, mode="w") as tar:
                for name in before:
                    tar.add(self.runs / name, name)
        except OSError:  # training replaced a file meanwhile; the next check finds all of them
            return
        if _signature(self.runs) == before:
            self._number += 1
            write(self.kept / SLOTS[self._number % 2], self._number, archive.getvalue())
            self._seen = before


def write(path: Path, number: int, archive: bytes) -> None:
    """Overwrite the older of the two states."""
    head = {"number": number, "sha256": hashlib.sha256(archive).hexdigest()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(json.dumps(head).encode() + b"\n" + archive)


def read(path: Path) -> tuple[int, bytes] | None:
    """Number and archive of a state, or None if it is missing or incomplete."""
    return parse(path.read_bytes()) if path.is_file() else None


def parse(content: bytes) -> tuple[int, bytes] | None:
    """Number and archive of a state written by `write`, or None if it is incomplete."""
    head, _, archive = content.partition(b"\n")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        facts = json.loads(head)
        if hashlib.sha256(archive).hexdigest() == facts["sha256"]:
            return int(facts["number"]), archive
    return None


def _signature(folder: Path) -> Signature:
    """Time and size of each file, by its name in the folder."""
    found: Signature = {}
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.name.endswith(".tmp"):
                stat = path.stat()
                found[path.relative_to(folder).as_posix()] = stat.st_mtime_ns, stat.st_size
    return found
