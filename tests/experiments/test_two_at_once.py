"""The whole pipeline twice at once: two workers of DVC's queue, and two clones that share their caches.

The experiments differ after training only, so both train the same run at the same time.
"""

import hashlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cxr.films.cache import FilmCache
from tests.test_pipeline import clone, sh

SMALLER = ("preprocess.image_px=48", "train.epochs=1", "train.min_steps=2")
EXPERIMENTS = {"fixed": "evaluate.threshold=fixed@0.3", "youden": "evaluate.threshold=youden"}

pytestmark = pytest.mark.slow


def command(name: str, *options: str) -> list[str]:
    """`dvc exp run` of an experiment."""
    changes = [part for change in (*SMALLER, EXPERIMENTS[name]) for part in ("-S", change)]
    return ["dvc", "exp", "run", *options, "-n", name, *changes]


def lock_of(repository: Path, name: str) -> str:
    """dvc.lock of a finished experiment: a hash of everything that it wrote."""
    refs = sh("git", "for-each-ref", "--format=%(refname)", "refs/exps", cwd=repository).stdout.split()
    (ref,) = [ref for ref in refs if ref.endswith(f"/{name}")]
    return sh("git", "show", f"{ref}:dvc.lock", cwd=repository).stdout


def damaged(films: Path) -> list[Path]:
    """Entries of a per-film cache that would not be served, and what a writer left beside them."""
    files = [path for path in films.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if FilmCache(films, *path.parts[-4:-2]).get(path.name) is None]


@pytest.fixture(scope="module")
def one_after_the_other(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    repository = clone(tmp_path_factory.mktemp("alone"), workers=1)
    for name in EXPERIMENTS:
        done = sh(*command(name), cwd=repository)
        assert done.returncode == 0, done.stderr
    return {name: lock_of(repository, name) for name in EXPERIMENTS}


def test_two_queue_workers_give_the_results_of_sequential_runs(
    tmp_path: Path, one_after_the_other: dict[str, str]
) -> None:
    repository = clone(tmp_path / "queue", workers=1)
    for name in EXPERIMENTS:
        done = sh(*command(name, "--queue"), cwd=repository)
        assert done.returncode == 0, done.stderr
    sh("dvc", "queue", "start", "-j", "2", cwd=repository)
    while True:
        status = sh("dvc", "queue", "status", cwd=repository).stdout
        if "Queued" not in status and "Running" not in status:
            break
        time.sleep(2)
    logs = [sh("dvc", "queue", "logs", name, cwd=repository).stdout for name in EXPERIMENTS]
    assert "Failed" not in status, logs
    assert {name: lock_of(repository, name) for name in EXPERIMENTS} == one_after_the_other
    assert damaged(repository / ".cache" / "films") == []
    assert not list((repository / ".cache" / "train" / "runs").glob("*/"))


def test_two_clones_with_shared_caches_give_the_results_of_one(
    tmp_path: Path, one_after_the_other: dict[str, str]
) -> None:
    shared, clones = tmp_path / "shared", [tmp_path / "one", tmp_path / "other"]
    (shared / "films").mkdir(parents=True)
    for folder in clones:
        clone(folder, workers=1)
        sh("dvc", "cache", "dir", "--local", str(shared / "dvc"), cwd=folder)
        (folder / ".cache").mkdir()
        (folder / ".cache" / "films").symlink_to(shared / "films")
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(sh, *command(name), cwd=at) for at, name in zip(clones, EXPERIMENTS, strict=True)]
    for run in runs:
        assert run.result().returncode == 0, run.result().stderr
    for folder, name in zip(clones, EXPERIMENTS, strict=True):
        assert lock_of(folder, name) == one_after_the_other[name]
        assert sh("git", "status", "--porcelain", "-uall", cwd=folder).stdout.count(".cache") == 0
    assert damaged(shared / "films") == []
    objects = [path for path in (shared / "dvc" / "files" / "md5").rglob("*") if path.is_file()]
    assert objects
    for path in objects:
        assert hashlib.md5(path.read_bytes()).hexdigest() == path.parent.name + path.name.removesuffix(".dir")
