"""Compute metrics.json again from predictions.csv, without images, model or GPU: python -m tools.metrics."""

from pathlib import Path

from cxr.console.stage import run_stage
from cxr.core.config import load_section
from cxr.evaluate.config import EvaluateSection
from cxr.evaluate.document import conclude
from cxr.evaluate.operating_point import read_operating_point
from cxr.evaluate.predictions import check_operating_point, check_predictions, read_predictions

METRICS, OPERATING_POINT = Path("metrics"), Path("models/operating_point.json")


def main() -> None:
    """Fit the operating point on the validation rows under the present parameters, and write the metrics."""
    section = load_section("evaluate", EvaluateSection)
    old = read_operating_point(OPERATING_POINT)
    table = read_predictions(METRICS / "predictions.csv")
    check_predictions(table, old.classes, str(METRICS / "predictions.csv"))
    check_operating_point(table, old, str(OPERATING_POINT))
    found = conclude(table, old.classifier, old.classes, section, str(METRICS / "predictions.csv"))
    found.write(METRICS, OPERATING_POINT)


if __name__ == "__main__":
    run_stage(main)
