"""The whole pipeline as a user runs it, on a small demo cohort, in a fresh clone."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.faults import crash
from benchmarks.faults_determinism import EVERYTHING, SURROUNDINGS, determinism

pytestmark = pytest.mark.journey
ROOT = Path(__file__).parents[1]
# What is tried is the way through the stages; `make repro` trains the network of params.yaml.
SMALL = {
    "patients: 200": "patients: 16",
    "image_px: 144": "image_px: 64",
    "backbone: tf_efficientnet_lite0": "backbone: test_resnet",
    "weights: package": "weights: none",
    "epochs:": "epochs: 2  #",
    "min_steps:": "min_steps: 4  #",
    "resamples:": "resamples: 100  #",
    "gallery_films: 24": "gallery_films: 6",
}


def sh(*command: str, cwd: Path, umask: int = -1, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with this interpreter's tools first on the path; nothing is raised."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))}
    return subprocess.run(
        command, cwd=cwd, env={**kept, "PATH": path, **environment}, capture_output=True, text=True, check=False,
        umask=umask,
    )  # fmt: skip


def clone(folder: Path, workers: int) -> Path:
    """A repository with the files that Git tracks here, and a smaller cohort."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        if name != "dvc.lock" and not name.startswith(("metrics/", "plots/", "tests/")) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    params = (folder / "params.yaml").read_text(encoding="utf-8")
    for old, new in SMALL.items():
        assert params.count(f"  {old}") == 1, old
        params = params.replace(f"  {old}", f"  {new}")
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    compute = (folder / "compute.yaml").read_text(encoding="utf-8")
    (folder / "compute.yaml").write_text(compute.replace("workers: auto", f"workers: {workers}"), encoding="utf-8")
    for command in ("init -q", "add -A", "-c user.name=a -c user.email=a@b.invalid commit -qm start"):
        done = sh("git", *command.split(), cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = clone(tmp_path_factory.mktemp("pipeline"), workers=2)
    done = sh("dvc", "repro", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_one_command_runs_every_stage_and_leaves_git_ready_to_commit(repository: Path) -> None:
    assert (repository / "metrics/metrics.json").is_file()
    changed = sh("git", "status", "--porcelain", "-uall", cwd=repository).stdout.splitlines()
    folders = {line[3:].split("/")[0] for line in changed}
    assert folders <= {"dvc.lock", "metrics", "plots", "models", "predictions.csv"}, changed


def test_a_second_run_does_nothing(repository: Path) -> None:
    done = sh("dvc", "repro", cwd=repository)
    assert "Data and pipelines are up to date" in done.stdout, done.stdout + done.stderr


def test_locale_clock_umask_hash_seed_workers_threads_place_and_order_on_disk_change_no_byte(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All at once; `python -m benchmarks.faults determinism` changes one at a time."""
    other = clone(tmp_path_factory.mktemp("else where"), workers=EVERYTHING.workers)
    variables = EVERYTHING.variables(tmp_path_factory.mktemp("order"))
    listed = sh(sys.executable, "-c", "import os; print(os.listdir('.'))", cwd=other, **variables).stdout
    assert listed.index("'stages'") < listed.index("'cxr'")  # it is another order
    done = sh("dvc", "repro", cwd=other, umask=EVERYTHING.umask, **variables)
    assert done.returncode == 0, done.stderr
    assert (other / "dvc.lock").read_text() == (repository / "dvc.lock").read_text()


def test_a_refused_parameter_costs_nothing_and_every_mistake_is_named_at_once(repository: Path) -> None:
    params = repository / "params.yaml"
    before, lock = params.read_text(encoding="utf-8"), (repository / "dvc.lock").read_text()
    text = before
    for old, new in (
        ("val_fraction: 0.2", "val_fraction: 1.2"),
        ("  min_px: 64", "  min_pixels: 64\n  min_px: 64"),
        ("image_px: 64", "image_px: 9"),
        ("threshold: fixed", "threshold: youdn"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    params.write_text(text, encoding="utf-8")
    done = sh("dvc", "repro", cwd=repository)
    params.write_text(before, encoding="utf-8")
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        "error: params.yaml: data.val_fraction: must be less than 1 (got 1.2)",
        "error: params.yaml: data.min_pixels: unknown parameter; did you mean 'min_px'?",
        "error: params.yaml: preprocess.image_px: must be greater than or equal to 32 (got 9)",
        "error: params.yaml: evaluate.threshold: expected youden | f1 | sensitivity@0.95 | fixed | fixed@0.3 "
        "(got 'youdn'); did you mean 'youden'?",
    ]
    assert "Traceback" not in done.stderr
    assert "make restore" in done.stderr
    assert (repository / "dvc.lock").read_text() == lock
    for out in ("data/manifest.csv", "data/masks.csv", "data/npz", "models/classifier.ckpt", "metrics/metrics.json"):
        assert (repository / out).exists(), out
    done = sh("dvc", "repro", cwd=repository)
    assert done.returncode == 0, done.stderr
    assert "Running stage" not in done.stdout  # the check's own out comes from the cache


@pytest.mark.slow
def test_a_run_killed_in_any_stage_completes_with_the_same_bytes(tmp_path: Path) -> None:
    """One kill in each stage; `python -m benchmarks.faults crash` takes a hundred."""
    kills = crash(tmp_path, kills=9, seed=1, minutes=float("inf"))
    assert len(kills) == 9
    assert [kill for kill in kills if kill["code"] or kill["different"]] == []


@pytest.mark.slow
def test_no_single_one_of_the_surroundings_changes_a_byte(tmp_path: Path) -> None:
    runs = determinism(tmp_path, minutes=float("inf"))
    assert len(runs) == len(SURROUNDINGS)
    assert [run for run in runs if run["different"]] == []
