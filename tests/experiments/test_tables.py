"""The tables of `make experiments` and `dvc metrics diff`."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cxr.core.files import write_json
from tests.evaluate.conftest import conclude, predictions
from tests.evaluate.test_results import SECTION
from tests.report.conftest import git

ROOT = Path(__file__).parents[2]
WIDTH, LINES = 160, 20
PIPELINE = """stages:
  evaluate:
    cmd: "true"
    params: [train, evaluate]
    metrics:
    - metrics/metrics.json:
        cache: false
"""


def _dvc(repository: Path, *arguments: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["dvc", *arguments],
        cwd=repository,
        env={**os.environ, "PATH": path, "COLUMNS": str(WIDTH)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _write(repository: Path, edit: tuple[str, str], seed: int) -> None:
    table = predictions(films=60, seed=seed, splits=("val", "test", "corrupted", "swapped"))
    write_json(repository / "metrics" / "metrics.json", conclude(table, SECTION).metrics)
    (repository / "params.yaml").write_text((ROOT / "params.yaml").read_text().replace(*edit))


@pytest.fixture(scope="module")
def experiments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with three experiments in which two parameters were tried, kept where DVC keeps them."""
    root = tmp_path_factory.mktemp("experiments")
    git(root, "init", "-q", "-b", "main")
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (root / ".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n")
    (root / "dvc.yaml").write_text(PIPELINE)
    _write(root, ("", ""), 0)
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "base")
    base = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
    place = f"{base.stdout[:2]}/{base.stdout.strip()[2:]}"
    git(root, "checkout", "-q", "--detach")
    edits = [("  lr:", "  lr: 0.0003 #"), ("  lr:", "  lr: 0.002 #"), ("  dropout:", "  dropout: 0.5 #")]
    for name, (number, edit) in zip(("beady-pits", "moist-tome", "plumb-rhea"), enumerate(edits), strict=True):
        _write(root, edit, 1 + number)
        git(root, "commit", "-q", "-am", name)
        git(root, "update-ref", f"refs/exps/{place}/{name}", "HEAD")
        git(root, "reset", "-q", "--hard", "main")
    git(root, "checkout", "-q", "main")
    return root


HEADLINE = ("test.auroc", "test.sensitivity", "test.specificity", "val.auroc", "swapped_val.auroc")


def _make_experiments(repository: Path) -> str:
    """What `make experiments` prints there."""
    make = ["make", "--no-print-directory", "-n", "-o", ".venv/.installed", "experiments"]
    done = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True)
    return _dvc(repository, *shlex.split(done.stdout.replace("\\\n", " "))[1:])


def test_the_table_of_make_experiments_fits_the_screen(experiments: Path):
    table = _make_experiments(experiments)
    assert max(map(len, table.splitlines())) <= WIDTH
    assert "…" not in table
    heads = next(row for row in table.splitlines() if "Experiment" in row)
    for column in (*HEADLINE, "train.lr", "train.dropout"):
        assert column in heads
    assert all(name in table for name in ("beady-pits", "moist-tome", "plumb-rhea"))


def test_a_clone_without_experiments_shows_the_headline_metrics(experiments: Path, tmp_path: Path):
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(experiments), str(clone))
    table = _make_experiments(clone)
    heads = next(row for row in table.splitlines() if "Experiment" in row)
    assert all(column in heads for column in HEADLINE)
    assert "auroc_low" not in heads
    assert re.search(r"main .* 0\.\d+ ", table)


def test_the_difference_of_metrics_is_a_short_list(experiments: Path):
    rows = _dvc(experiments, "metrics", "diff", "main", "moist-tome").splitlines()
    assert 5 < len(rows) <= LINES
    assert any("test.auroc " in row for row in rows)
