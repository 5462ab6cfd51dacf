"""A folder to run real stages in, as processes of their own: wall time and peak memory of each."""

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


@dataclass(frozen=True)
class Run:
    """One run of a stage."""

    seconds: float  # from start of the process to its end
    megabytes: float  # peak proportional set size of the process and all its workers


def make_workspace(folder: Path, films: Path, workers: int | str = "auto") -> Path:
    """A folder with this checkout's params.yaml, its data section pointed at a large cohort."""
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
    """Run `python -m stages.<stage>` in a workspace; raises CalledProcessError when it fails."""
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
    """Watches a process and its descendants through /proc until it ends."""

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
    except OSError:  # it has ended
        return
    for child in children:
        yield from _family(int(child))


def _proportional_kilobytes(pid: int) -> int:
    """PSS: memory of its own plus its share of what it shares, so that a sum over processes counts nothing twice."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file."""
    return dict(YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")))


def save_yaml(path: Path, document: dict[str, Any]) -> None:
    """Write a mapping."""
    with open(path, "w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(document, stream)
