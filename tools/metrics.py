"""Compute metrics and curves again from predictions.csv, without images, model or GPU: python -m tools.metrics."""

import json
import logging
from pathlib import Path

from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.decision.operating_point import read_operating_point
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.curves import write_plots
from cxr.evaluate.results import DETAILS, EARLIER, evaluation_result
from cxr.evaluate.scored import Block
from cxr.evaluate.table import check_operating_point, check_predictions, read_predictions
from cxr.runtime.console import run_stage

log = logging.getLogger(__name__)
METRICS, PLOTS, OPERATING_POINT = Path("metrics"), Path("plots"), Path("models/operating_point.json")


def main() -> None:
    """Fit the operating point on the validation rows under the present parameters; write the metrics and the curves."""
    section = load_section("evaluate", EvaluateSection)
    old = read_operating_point(OPERATING_POINT)
    where = METRICS / "predictions.csv"
    table = read_predictions(where)
    check_predictions(table, old.classes, str(where))
    check_operating_point(table, old, str(OPERATING_POINT))
    earlier = {name: _details(name) for name in EARLIER}
    result = evaluation_result(table, old.classifier, old.classes, section, earlier, str(where))
    result.write(METRICS, OPERATING_POINT)
    write_plots(PLOTS, result.table, result.operating_point, section.prevalence)
    if result.operating_point != old:
        log.warning("the operating point changed; Grad-CAM pictures show the earlier one until `dvc repro evaluate`")


def _details(name: str) -> Block:
    path = METRICS / DETAILS / f"{name}.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CxrError(f"{path}: not readable; run `dvc repro evaluate` first") from error


if __name__ == "__main__":
    run_stage(main)
