"""Which stages an edit runs again, asked of DVC itself: the pipeline of dvc.yaml with commands that only touch outs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.report.conftest import git

ROOT = Path(__file__).parents[2]
TOUCH = """import sys, pathlib
for name in sys.argv[1:]:
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix:
        path.write_text("{}")
    else:
        path.mkdir(exist_ok=True)
        (path / "file").write_text("same")
"""


def _outs(stage: dict[str, Any]) -> list[str]:
    entries = [*stage.get("outs", []), *stage.get("metrics", [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tracked files, a pipeline of the same dependencies that touches its outs, and one finished run."""
    root = tmp_path_factory.mktemp("reruns")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    made = ("metrics/", "plots/", "tests/", "dvc.lock", "models/operating_point.json", "segmenter/")
    for name in tracked.splitlines():
        if not name.startswith(made) and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / name)
    yaml = YAML()
    pipeline = yaml.load((root / "dvc.yaml").read_text())
    for stage in pipeline["stages"].values():
        stage["cmd"] = " ".join([sys.executable, "touch.py", *_outs(stage)])
    pipeline = {"stages": pipeline["stages"]}
    (root / "touch.py").write_text(TOUCH)
    with (root / "dvc.yaml").open("w") as stream:
        yaml.dump(pipeline, stream)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "start")
    _run(root, "repro")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "results")
    return root


def _run(repository: Path, *arguments: str) -> set[str]:
    """Run dvc; the stages whose command ran."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["dvc", *arguments], cwd=repository, env={**kept, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return set(re.findall(r"Running stage '(?:[^']*:)?(\w+)'", done.stdout))


@pytest.mark.parametrize(
    ("files", "again"),
    [
        (("cxr/report/page.py", "cxr/commands/results.py"), set()),
        (("cxr/evaluate/fit.py", "cxr/evaluate/subgroups.py"), {"evaluate", "package"}),
    ],
)
def test_an_edit_of_evaluation_or_report_code_never_trains_again(
    repository: Path, files: tuple[str, ...], again: set[str]
):
    before = {repository / file: (repository / file).read_bytes() for file in files}
    for path, content in before.items():
        path.write_bytes(content + b"# edited\n")
    try:
        assert _run(repository, "repro") <= again
    finally:
        for path, content in before.items():
            path.write_bytes(content)
        _run(repository, "repro")


def test_an_experiment_with_another_threshold_runs_evaluate_and_package_only(repository: Path):
    ran = _run(repository, "exp", "run", "-S", "evaluate.threshold=f1", "-S", "evaluate.prevalence=0.2")
    assert "evaluate" in ran
    assert ran <= {"check", "evaluate", "package"}
