"""The entry point of a training container: /opt/ml in, `python -m stages.train`, /opt/ml/model out.

`cd /opt/ml/input/data/code && exec python3 -m cxr.aws.container.entry` makes this process PID 1. It lays out a
workspace, runs the stage in it, forwards SIGTERM, and reports a failure with the stage's last messages.
Standard library only: the packages of the code channel are installed by it.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from pathlib import Path

from cxr.aws.container.checkpoints import Checkpoints
from cxr.aws.container.workspace import prepare

FAILURE_CHARACTERS = 900  # SageMaker shows 1,024 characters, including its own text
KEPT_LINES = 400
GRACE_S = 20.0  # seconds for the other ranks after rank 0 has ended
TERMINATED = 128 + signal.SIGTERM


def main() -> int:
    """Run the job; returns its exit code. Any failure is written to the file that DescribeTrainingJob reports."""
    root = Path.cwd().parents[2]  # the code channel is <root>/input/data/code
    child: list[subprocess.Popen[str]] = []
    stop = threading.Event()

    def terminate(*_: object) -> None:
        stop.set()
        for process in child:
            process.terminate()

    signal.signal(signal.SIGTERM, terminate)  # without a handler, the kernel drops SIGTERM for PID 1
    try:
        workspace, environment = prepare(root)
        checkpoints = Checkpoints(workspace / ".cache/train/runs", root / "checkpoints")
        checkpoints.start()
        if stop.is_set():
            return TERMINATED
        command = [sys.executable, "-u", "-m", "stages.train"]
        child.append(
            subprocess.Popen(
                command, cwd=workspace, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True
            )
        )
        if stop.is_set():
            child[0].terminate()
        tail: deque[str] = deque(maxlen=KEPT_LINES)
        reader = threading.Thread(target=_relay, args=(child[0], tail), daemon=True)
        reader.start()
        code = child[0].wait()
        _end_group(child[0].pid)
        checkpoints.finish()
        reader.join(GRACE_S)  # a process that left the group may hold the pipe; it ends with this one, PID 1
        if code == 0 and environment["NODE_RANK"] == "0":
            shutil.copytree(workspace / "models", environment["SM_MODEL_DIR"], dirs_exist_ok=True)
        if code not in (0, TERMINATED):
            _report(root, _last_words(list(tail), code))
        return 1 if code < 0 else code
    except SystemExit as error:
        print(f"error: {error}", file=sys.stderr)
        _report(root, f"error: {error}")
        return 1
    except Exception:
        _report(root, traceback.format_exc())
        return 1


def _relay(process: subprocess.Popen[str], tail: deque[str]) -> None:
    """Forward the stage's messages to the log, and keep the last ones."""
    assert process.stderr is not None
    for line in process.stderr:
        sys.stderr.write(line)
        sys.stderr.flush()
        tail.append(line.rstrip("\n"))


def _end_group(group: int) -> None:
    """End the remaining ranks: one that waits for rank 0 would keep the instance running and cost money."""
    deadline = time.monotonic() + GRACE_S
    while _lives(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    with contextlib.suppress(ChildProcessError):  # PID 1 inherits orphans and must reap them
        os.waitpid(-group, os.WNOHANG)
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _last_words(lines: list[str], code: int) -> str:
    """The stage's last messages: its one-line error, or its traceback."""
    for start in range(len(lines) - 1, -1, -1):
        if lines[start].startswith(("error: ", "Traceback (most recent call last)")):
            return "\n".join(lines[start:])
    if code < 0:
        memory = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"the train stage was killed by signal {-code}{memory}"
    return "\n".join(lines[-10:]) or f"the train stage ended with code {code} and no message"


def _report(root: Path, text: str) -> None:
    """Write the end of the text, where a traceback has its error, to /opt/ml/output/failure."""
    text = text.strip()
    if len(text) > FAILURE_CHARACTERS:
        text = "…" + text[-FAILURE_CHARACTERS:]
    (root / "output").mkdir(exist_ok=True)
    (root / "output" / "failure").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
