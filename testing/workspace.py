"""Scratch folders for real runs: single stages on a large cohort, or `dvc repro` in a clone with a tiny one.

Each stage runs as a process, with its wall time and peak memory. The results of a clone are hashed.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("ingest", "segment", "preprocess")
SAMPLE_SECONDS = 0.2
# The smallest cohort that every stage accepts, and a network that trains in a second.
TINY = {
    "demo": {"patients": 12},
    "preprocess": {"image_px": 32},
    "train": {"backbone": "test_resnet", "weights": "none", "min_loaded": 0.0, "epochs": 2, "min_steps": 6},
    "evaluate": {"resamples": 100, "gallery_films": 2, "shortcuts": False, "baseline": False},
    "package": {"torchscript": False},
}
NOT_RESULTS = {".git", ".cache", "__pycache__", "tmp", "cache"}  # the last two belong to DVC


@dataclass(frozen=True)
class Run:
    """One run of a stage."""

    seconds: float  # wall time of the process
    megabytes: float  # peak proportional set size of the process and all its workers


def make_workspace(folder: Path, films: Path, workers: int | str = "auto") -> Path:
    """A folder with this checkout's params.yaml, with the large cohort in its data section."""
    folder.mkdir(parents=True, exist_ok=True)
    params = load_yaml(ROOT / "params.yaml")
    params["data"] |= {
        "root": str(films.resolve()),
        "layout": "folders",
        "path_pattern": r"(?P<patient_id>P\d+)",
        "patient_from": "pattern",
        "masks_dir": "none",
    }
    save_yaml(folder / "params.yaml", params)
    save_yaml(folder / "compute.yaml", {**load_yaml(ROOT / "compute.yaml"), "workers": workers})
    (folder / "models").mkdir(exist_ok=True)
    shutil.copy2(ROOT / "models" / "lung_segmenter.onnx", folder / "models")
    return folder


def run_stage(workspace: Path, stage: str) -> Run:
    """Run `python -m stages.<stage>` in a workspace; raises CalledProcessError if it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_ROOT": str(workspace)}
    command = [sys.executable, "-m", f"stages.{stage}"]
    started = time.perf_counter()
    with open(workspace / f"{stage}.log", "wb") as log:
        process = subprocess.Popen(command, cwd=workspace, env=environment, stderr=log)
    peak = _PeakMemory(process.pid)
    peak.start()
    code = process.wait()
    seconds = time.perf_counter() - started
    peak.join()
    if code:
        print((workspace / f"{stage}.log").read_text(encoding="utf-8"), file=sys.stderr)
        raise subprocess.CalledProcessError(code, command)
    return Run(seconds, peak.kilobytes / 1024)


def cached_films(workspace: Path, stage: str) -> int:
    """Entries in a stage's per-film cache."""
    return sum(path.is_file() for path in (workspace / ".cache" / "films" / stage).rglob("*"))


class _PeakMemory(threading.Thread):
    """Samples the memory of a process and its descendants through /proc until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.kilobytes = 0

    def run(self) -> None:
        while sample := sum(_proportional_kilobytes(pid) for pid in _family(self.pid)):
            self.kilobytes = max(self.kilobytes, sample)
            time.sleep(SAMPLE_SECONDS)


def _family(pid: int) -> Iterator[int]:
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:  # the process has ended
        return
    for child in children:
        yield from _family(int(child))


def _proportional_kilobytes(pid: int) -> int:
    """Proportional set size, which counts shared memory once in a sum over processes."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def make_clone(folder: Path) -> Path:
    """A repository with this checkout's tracked files, a tiny cohort and no results, committed."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith(("metrics/", "plots/", "tests/", "dvc.lock")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    params = load_yaml(folder / "params.yaml")
    for section, values in TINY.items():
        params[section] |= values
    save_yaml(folder / "params.yaml", params)
    set_workers(folder, 1)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit everything."""
    for line in ("add -A", "-c user.name=a -c user.email=a@b.invalid commit -qm start"):
        subprocess.run(["git", *line.split()], cwd=folder, check=True)


def set_workers(folder: Path, workers: int) -> None:
    """Set `workers` of compute.yaml, on which no result depends."""
    save_yaml(folder / "compute.yaml", {**load_yaml(folder / "compute.yaml"), "workers": workers})


def repro(folder: Path, umask: int = 0o022, **environment: str) -> subprocess.Popen[str]:
    """Start `dvc repro` in a new process group, with the code of the clone; its output goes to repro.log."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_", "PYTHON"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with open(folder / ".cache" / "repro.log", "w", encoding="utf-8") as log:
        return subprocess.Popen(
            ["dvc", "repro"], cwd=folder, env={**kept, "PATH": path, **environment}, stdout=log, stderr=log, text=True,
            start_new_session=True, umask=umask,
        )  # fmt: skip


def output(folder: Path) -> str:
    """The output of the last `repro`."""
    return (folder / ".cache" / "repro.log").read_text(encoding="utf-8")


def results(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, except Git's files and caches.

    dvc.lock is hashed by content with sorted keys, because its stages are in the order of their last runs.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not NOT_RESULTS & set(inside.parts) and inside.name != "compute.yaml":
            found[inside.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    lock = json.dumps(load_yaml(folder / "dvc.lock"), sort_keys=True)
    found["dvc.lock"] = hashlib.sha256(lock.encode()).hexdigest()
    return found


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    return dict(YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")))


def save_yaml(path: Path, document: dict[str, Any]) -> None:
    """Write a mapping."""
    with open(path, "w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(document, stream)
