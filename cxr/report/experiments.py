"""Named DVC experiments: run those that are missing, know those that exist."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cxr.core.errors import CxrError
from cxr.core.files import digest


def experiment_exists(name: str) -> bool:
    """Whether this repository has an experiment of that name, from whatever commit."""
    refs = git_output("for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    return any(ref.rsplit("/", 1)[-1] == name for ref in refs)


def run_experiment(name: str, changes: Sequence[str]) -> None:
    """Run the last commit, with the workspace's edits and `changes` (section.key=value), outside of the workspace.

    Raises:
        CxrError: the run failed; what it printed says why.
    """
    settings = [word for change in changes for word in ("-S", change)]
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--name", name, *settings]
    if subprocess.run(command, check=False).returncode or not experiment_exists(name):
        raise CxrError(f"experiment {name}: the run failed (see above); the same command resumes with it")


def settings_key(params: dict[str, Any], pipeline: dict[str, Any]) -> str:
    """Eight digits that change with any parameter but `train.seed` and with any code or data that Git tracks."""
    rest = {**params, "train": {name: value for name, value in params["train"].items() if name != "seed"}}
    deps = sorted({dep for stage in pipeline["stages"].values() for dep in stage.get("deps", []) if "$" not in dep})
    listed = git_output("ls-files", "-z", "--", "dvc.yaml", "*.dvc", *deps)
    files = [Path(name) for name in listed.split("\0") if name and Path(name).is_file()]
    parts = [json.dumps(rest, sort_keys=True).encode(), *(path.read_bytes() for path in files)]
    return digest(*parts)[:8]


def git_output(*arguments: str) -> str:
    """What a Git command prints; raises CalledProcessError when it fails."""
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout
