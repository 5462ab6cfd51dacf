"""Check that a run of the pipeline reproduced the committed results."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML

from cxr.core.errors import CxrError
from cxr.report.experiments import git_output
from cxr.report.revisions import METRICS, PREDICTIONS

log = logging.getLogger(__name__)
LOCK = "dvc.lock"
RESULTS = (LOCK, "metrics/", "plots/", "models/operating_point.json")
MAX_OTHER_PREDICTIONS = 0.01  # share of the films
ADVICE = "See docs/training.md (Reproducibility)"


def verify(within: float | None) -> None:
    """Compare the workspace with the last commit.

    Args:
        within: accept other bytes where code and parameters match dvc.lock, only results changed, every AUROC is within
            this distance of the committed one, and at most 1 % of the predictions differ; None accepts none.

    Raises:
        CxrError: something differs; the message names it.
    """
    changed = [line[3:] for line in git_output("status", "--porcelain").splitlines()]
    if not changed:
        return
    before, after = _lock(git_output("show", f"HEAD:{LOCK}")), _lock(Path(LOCK).read_text(encoding="utf-8"))
    told = "; ".join(differences(before, after) or ["no stage differs"])
    if within is None:
        raise CxrError(f"the run did not reproduce the commit: {told}. Changed files: {', '.join(changed)}. {ADVICE}")
    faults = stale(before, after) + [f"{path} changed" for path in changed if not path.startswith(RESULTS)]
    faults = faults or disagreements(within)
    if faults:
        raise CxrError(f"the run did not reproduce the commit: {'; '.join(faults)} ({told}). {ADVICE}")
    log.warning("bytes differ from the commit, every AUROC by at most %g: %s. %s", within, told, ADVICE)


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """`stage NAME: PATH, PATH` for each stage of a dvc.lock whose outputs differ, in the order of the pipeline."""
    found = []
    for name, stage in after.items():
        hashes = {out["path"]: out["md5"] for out in before.get(name, {}).get("outs", [])}
        other = [out["path"] for out in stage.get("outs", []) if hashes.get(out["path"]) != out["md5"]]
        if other:
            found.append(f"stage {name}: {', '.join(other)}")
    return found


def stale(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Code and parameters that differ between two dvc.lock files: the pipeline was not run before the commit."""
    made = {out["path"] for stage in after.values() for out in stage.get("outs", [])}
    found = []
    for name, stage in after.items():
        old = before.get(name, {})
        hashes = {dep["path"]: dep["md5"] for dep in old.get("deps", [])}
        other = [dep["path"] for dep in stage.get("deps", []) if dep["path"] not in made]
        other = [path for path in other if hashes.get(path) != _md5(stage, path)]
        if stage.get("params") != old.get("params"):
            other.append("its parameters")
        if other:
            found.append(f"{LOCK} is older than {', '.join(other)} of stage {name}")
    return found


def disagreements(within: float) -> list[str]:
    """Metrics and predictions that differ too much between the workspace and the last commit."""
    found = []
    old, new = json.loads(git_output("show", f"HEAD:{METRICS}")), json.loads(Path(METRICS).read_text(encoding="utf-8"))
    for part, metrics in new.items():
        for name in (name for name in metrics if name == "auroc"):
            was = old.get(part, {}).get(name)
            if was is None or abs(metrics[name] - was) > within:
                found.append(f"{part} {name} is {metrics[name]}, committed {was}")
    was, now = (
        pd.read_csv(io.StringIO(text)).set_index(["image_id", "split"])["decision"]
        for text in (git_output("show", f"HEAD:{PREDICTIONS}"), Path(PREDICTIONS).read_text(encoding="utf-8"))
    )
    other = float((was.reindex(now.index) != now).mean())
    if len(was) != len(now) or other > MAX_OTHER_PREDICTIONS:
        found.append(f"{other:.1%} of the predictions of {len(now)} films differ (committed: {len(was)} films)")
    return found


def _md5(stage: dict[str, Any], path: str) -> str:
    return str(next(dep["md5"] for dep in stage["deps"] if dep["path"] == path))


def _lock(text: str) -> dict[str, Any]:
    return dict(YAML(typ="safe", pure=True).load(text)["stages"])
