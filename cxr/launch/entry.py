"""The entry point of a training container: /opt/ml in, `python -m stages.train`, /opt/ml/model out.

`cd /opt/ml/input/data/code && exec python3 -m cxr.launch.entry` makes this process PID 1. It lays out a workspace like
a checkout of the repository, runs the stage in it, hands SIGTERM on to it, and reports a failure in the stage's words.
Standard library only: the packages of the code channel are installed by it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from pathlib import Path
from typing import IO, Any

from cxr.launch.channels import FACTS, INDEX, SHOWN_AS, SPLITS, WHEELS

FAILURE_CHARACTERS = 900  # SageMaker shows 1,024, with words of its own
KEPT_LINES = 400
TERMINATED = 128 + signal.SIGTERM


def main() -> int:
    """Run the job; returns its exit code. A failure of whatever kind is written for DescribeTrainingJob to tell."""
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
        if stop.is_set():
            return TERMINATED
        command = [sys.executable, "-u", "-m", "stages.train"]
        child.append(subprocess.Popen(command, cwd=workspace, env=environment, stderr=subprocess.PIPE, text=True))
        if stop.is_set():
            child[0].terminate()
        tail = _relay(child[0].stderr)
        code = child[0].wait()
        if code == 0 and environment["NODE_RANK"] == "0":
            shutil.copytree(workspace / "models", environment["SM_MODEL_DIR"], dirs_exist_ok=True)
        if code not in (0, TERMINATED):
            _report(root, _last_words(tail, code))
        return 1 if code < 0 else code
    except (Exception, SystemExit):
        _report(root, traceback.format_exc())
        return 1


def prepare(root: Path) -> tuple[Path, dict[str, str]]:
    """Lay out `<root>/work` as the stage expects it; returns it and the stage's environment."""
    workspace, code = root / "work", root / "input/data/code"
    parameters = json.loads((root / "input/config/hyperparameters.json").read_text(encoding="utf-8"))
    resources = json.loads((root / "input/config/resourceconfig.json").read_text(encoding="utf-8"))
    shutil.copytree(code, workspace, ignore=shutil.ignore_patterns(WHEELS), dirs_exist_ok=True)
    for split in SPLITS:
        link(workspace / "data/npz" / split, root / "input/data" / split)
    shutil.copy(root / "input/data/train" / INDEX, workspace / "data/npz")
    link(workspace / ".cache/train/runs", root / "checkpoints")
    # JSON is YAML; both files are read as such.
    (workspace / "params.yaml").write_text(json.dumps({"train": section(parameters)}), encoding="utf-8")
    nodes = len(resources["hosts"])
    (workspace / "compute.yaml").write_text(json.dumps({"backend": "local", "nodes": nodes}), encoding="utf-8")
    packages = _install(sorted((code / WHEELS).glob("*.whl")), root / "packages")
    return workspace, {**os.environ, **variables(root, parameters, resources), **packages}


def section(hyperparameters: dict[str, str]) -> dict[str, Any]:
    """The train section from hyperparameters: JSON values, `augment.flip` for a nested one."""
    own_names = {shown: name for name, shown in SHOWN_AS.items()}
    values: dict[str, Any] = {}
    for shown, text in hyperparameters.items():
        if shown in FACTS:
            continue
        *groups, name = shown.split(".")
        place = values
        for group in groups:
            place = place.setdefault(group, {})
        place[name if groups else own_names.get(name, name)] = json.loads(text)
    return values


def variables(root: Path, parameters: dict[str, str], resources: dict[str, Any]) -> dict[str, str]:
    """The SM_* variables of AWS's own containers, and what Lightning and NCCL need to find the other instances."""
    hosts = resources["hosts"]
    return {
        **{f"SM_CHANNEL_{split.upper()}": str(root / "input/data" / split) for split in SPLITS},
        "SM_MODEL_DIR": str(root / "model"),
        "SM_CHECKPOINT_DIR": str(root / "checkpoints"),
        "SM_OUTPUT_DATA_DIR": str(root / "output/data"),
        "SM_HPS": json.dumps(parameters),
        "SM_HOSTS": json.dumps(hosts),
        "SM_CURRENT_HOST": resources["current_host"],
        "NODE_RANK": str(hosts.index(resources["current_host"])),
        "MASTER_ADDR": hosts[0],
        "MASTER_PORT": "7777",
        "NCCL_SOCKET_IFNAME": resources.get("network_interface_name", "eth0"),
        "GLOO_SOCKET_IFNAME": resources.get("network_interface_name", "eth0"),
    }


def link(name: Path, target: Path) -> None:
    """Make the symbolic link `name`."""
    target.mkdir(parents=True, exist_ok=True)
    name.parent.mkdir(parents=True, exist_ok=True)
    name.symlink_to(target, target_is_directory=True)


def _install(wheels: list[Path], target: Path) -> dict[str, str]:
    """Install the wheels beside the image's packages, without a network."""
    if not wheels:
        return {}
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(target)]
    result = subprocess.run([*command, *map(str, wheels)], capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or ["pip said nothing"]
        sys.exit(f"the packages of the code channel cannot be installed: {lines[-1]}")
    return {"PYTHONPATH": str(target)}


def _relay(stream: IO[str] | None) -> list[str]:
    """Pass the stage's messages on to the log; returns the last of them."""
    assert stream is not None
    tail: deque[str] = deque(maxlen=KEPT_LINES)
    for line in stream:
        sys.stderr.write(line)
        sys.stderr.flush()
        tail.append(line.rstrip("\n"))
    return list(tail)


def _last_words(lines: list[str], code: int) -> str:
    """What the stage said last: its one-line error, or its traceback."""
    for start in range(len(lines) - 1, -1, -1):
        if lines[start].startswith(("error: ", "Traceback (most recent call last)")):
            return "\n".join(lines[start:])
    if code < 0:
        memory = " (out of memory?)" if code == -signal.SIGKILL else ""
        return f"the train stage was killed by signal {-code}{memory}"
    return "\n".join(lines[-10:]) or f"the train stage ended with code {code} and no message"


def _report(root: Path, text: str) -> None:
    """Write /opt/ml/output/failure: the end of the text, for a traceback says what happened in its last lines."""
    text = text.strip()
    if len(text) > FAILURE_CHARACTERS:
        text = "…" + text[-FAILURE_CHARACTERS:]
    (root / "output").mkdir(exist_ok=True)
    (root / "output" / "failure").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
