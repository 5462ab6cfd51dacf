"""Compute metrics.json again from predictions.csv, without images, model or GPU: python -m tools.metrics."""

import json
from pathlib import Path

from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.decision.operating_point import read_operating_point
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.results import DETAILS, EARLIER, evaluation_result
from cxr.evaluate.scored import Block
from cxr.evaluate.table import check_operating_point, check_predictions, read_predictions
from cxr.runtime.console import run_stage

METRICS, OPERATING_POINT = Path("metrics"), Path("models/operating_point.json")


def main() -> None:
    """Fit the operating point on the validation rows under the present parameters, and write the metrics."""
    section = load_section("evaluate", EvaluateSection)
    old = read_operating_point(OPERATING_POINT)
    where = METRICS / "predictions.csv"
    table = read_predictions(where)
    check_predictions(table, old.classes, str(where))
    check_operating_point(table, old, str(OPERATING_POINT))
    earlier = {name: _details(name) for name in EARLIER}
    evaluation_result(table, old.classifier, old.classes, section, earlier, str(where)).write(METRICS, OPERATING_POINT)


def _details(name: str) -> Block:
    path = METRICS / DETAILS / f"{name}.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CxrError(f"{path}: not readable; run `dvc repro evaluate` first") from error


if __name__ == "__main__":
    run_stage(main)
