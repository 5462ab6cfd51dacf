"""A scratch clone of this checkout with a tiny cohort, and a hash of everything that `dvc repro` leaves in it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.workspace import ROOT, load_yaml, save_yaml

# The smallest cohort that every stage accepts, and a network that trains in a second.
TINY = {
    "demo": {"patients": 12},
    "preprocess": {"image_px": 32},
    "train": {"backbone": "test_resnet", "weights": "none", "min_loaded": 0.0, "epochs": 2, "min_steps": 6},
    "evaluate": {"resamples": 100, "gallery_films": 2, "shortcuts": False, "baseline": False},
    "package": {"torchscript": False},
}
NOT_RESULTS = {".git", ".cache", "__pycache__", "tmp", "cache"}  # the last two are DVC's


def make_clone(folder: Path) -> Path:
    """The files that Git tracks here, as they are, with a tiny cohort and no results, committed."""
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
    """Start `dvc repro` in a process group of its own, with the code of the clone; its output goes to repro.log."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_", "PYTHON"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with open(folder / ".cache" / "repro.log", "w", encoding="utf-8") as log:
        return subprocess.Popen(
            ["dvc", "repro"], cwd=folder, env={**kept, "PATH": path, **environment}, stdout=log, stderr=log, text=True,
            start_new_session=True, umask=umask,
        )  # fmt: skip


def output(folder: Path) -> str:
    """What the last `repro` printed."""
    return (folder / ".cache" / "repro.log").read_text(encoding="utf-8")


def results(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but those of Git, of DVC's cache and of the caches that no result depends on.

    dvc.lock counts by what it says: the order of its stages is that in which they last ran.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_file() and not NOT_RESULTS & set(inside.parts) and inside.name != "compute.yaml":
            found[inside.as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    lock = json.dumps(load_yaml(folder / "dvc.lock"), sort_keys=True)
    found["dvc.lock"] = hashlib.sha256(lock.encode()).hexdigest()
    return found
