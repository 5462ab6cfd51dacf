"""A Git repository with the results of two revisions, as evaluation writes them."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.curves import write_plots
from cxr.evaluate.results import evaluation_result
from tests.evaluate.conftest import BINARY, EARLIER, predictions
from tests.settings import section

ROOT = Path(__file__).parents[2]
SECTION = section(EvaluateSection, resamples=200, subgroups=("view",))


def git(repository: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    subprocess.run(command, cwd=repository, check=True, capture_output=True)


def write_results(
    root: Path, noise: float, lr: str, classes: tuple[str, ...] = BINARY, splits: tuple[str, ...] = ("val", "test")
) -> None:
    """What the evaluate stage leaves, from logits with some noise."""
    table = predictions(films=80, classes=classes, splits=splits)
    random = np.random.default_rng(3)
    for name in [name for name in table.columns if name.startswith("logit")]:
        table[name] = (table[name] + random.normal(0, noise, len(table))).round(6)
    weights = f"{int(noise * 1000):032x}"
    found = evaluation_result(table, weights, classes, SECTION, EARLIER, "here")
    found.write(root / "metrics", root / "models" / "operating_point.json")
    write_plots(root / "plots", found.table, found.operating_point, SECTION.prevalence)
    history = {"epoch": [0, 1], "train_loss": [0.7, 0.5], "val_loss": [0.7, 0.6], "val_auroc": [0.6, 0.9]}
    history |= {"corrupted_loss": [0.7, 0.65], "corrupted_auroc": [0.55, 0.8]}
    history |= {"swapped_loss": [0.8, 0.75], "swapped_auroc": [0.5, 0.7]}
    pd.DataFrame(history).to_csv(root / "plots" / "learning_curves.csv", index=False)
    params = {"train": {"lr": float(lr), "seed": 13}, "evaluate": SECTION.model_dump(mode="json")}
    (root / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture(scope="session")
def _two_revisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("repository")
    git(root, "init", "-q", "-b", "main")
    (root / ".dvc").mkdir()
    shutil.copytree(ROOT / ".dvc" / "plots", root / ".dvc" / "plots")
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (root / ".gitignore").write_text("/reports\n/.dvc/tmp\n/.dvc/cache\n")
    text = (ROOT / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text[text.index("\nplots:\n") + 1 :])
    write_results(root, 0.1, "0.001")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "base")
    git(root, "branch", "base")
    write_results(root, 8.0, "0.01")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "noisy")
    return root


@pytest.fixture
def two_revisions(_two_revisions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository as the current folder: branch `base`, and a noisier `main` checked out."""
    root = tmp_path / "repository"
    shutil.copytree(_two_revisions, root)
    monkeypatch.chdir(root)
    return root


def performance(root: Path) -> dict:
    return json.loads((root / "metrics" / "details" / "performance.json").read_text())
