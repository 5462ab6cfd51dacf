"""Do results, parameters and model card belong together? Each warning says what to run."""

from pathlib import Path

from cxr.core.config import read_yaml
from cxr.report.revisions import Results
from cxr.report.tables import flat

CARD = Path("docs/model_card.md")


def stale(results: Results, repository: Path = Path(".")) -> list[str]:
    """Warnings: results that were made with other parameters, and a model card of another cohort or classifier."""
    found = []
    changed = changed_parameters(repository)
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        found.append(
            f"These results belong to other parameters: {changed[0]}{more} changed in params.yaml since; run dvc repro."
        )
    card = repository / CARD
    if card.is_file() and results.run.point.classifier not in card.read_text(encoding="utf-8"):
        found.append(f"{CARD} describes another classifier or cohort; run `make model-card`.")
    return found


def changed_parameters(repository: Path) -> list[str]:
    """Names of the parameters that differ between params.yaml and the run that dvc.lock records, data.root first."""
    lock = repository / "dvc.lock"
    if not lock.is_file():
        return []
    now = flat(read_yaml(repository / "params.yaml"))
    then: dict[str, object] = {}
    for stage in read_yaml(lock).get("stages", {}).values():
        then |= flat(stage.get("params", {}).get("params.yaml", {}))
    changed = sorted(name for name in then if then[name] != now.get(name))
    return sorted(changed, key=lambda name: name != "data.root")
