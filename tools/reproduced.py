"""Whether a run left everything as committed: python -m tools.reproduced, after `dvc repro`.

Names each stage whose outputs have other bytes than those of the last commit, and each other tracked file that changed.
"""

import subprocess
from typing import Any

from ruamel.yaml import YAML

from cxr.console.stage import run_stage
from cxr.core.errors import CxrError

LOCK = "dvc.lock"


def main() -> None:
    """Say nothing when all is the same; raises CxrError naming what differs."""
    changed = [line[3:] for line in _git("status", "--porcelain").splitlines()]
    if not changed:
        return
    told = differences(_lock(_git("show", f"HEAD:{LOCK}")), _lock(_read(LOCK)))
    raise CxrError(
        "the run did not reproduce the commit: "
        + "; ".join(told or ["no stage differs"])
        + f". Changed files: {', '.join(changed)}. docs/training.md (Repeatable results) says what can differ and why"
    )


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """`stage NAME: PATH, PATH` for each stage of a dvc.lock whose outputs differ, in the order of the pipeline."""
    found = []
    for name, stage in after.items():
        hashes = {out["path"]: out["md5"] for out in before.get(name, {}).get("outs", [])}
        other = [out["path"] for out in stage.get("outs", []) if hashes.get(out["path"]) != out["md5"]]
        if other:
            found.append(f"stage {name}: {', '.join(other)}")
    return found


def _lock(text: str) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load(text)["stages"])


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as stream:
        return stream.read()


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    run_stage(main)
