"""Evaluate a frozen bundle on labelled films: `python -m tools.external --bundle B --films FOLDER [--labels CSV]`.

Without --labels the class is the name of a folder above each film (NORMAL, PNEUMONIA, whatever the case). Threshold and
temperature are those of the bundle. Writes predictions.csv and external.json, and prints figures and drift.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from cxr.core.config import load_section
from cxr.core.files import write_json
from cxr.evaluate.config import EvaluateSection
from cxr.predict.batch import Record, predict_into
from cxr.predict.predictor import Predictor
from cxr.report.external import (
    PATIENT,
    drift,
    drift_text,
    figures_text,
    from_csv,
    from_folders,
    frozen_figures,
    labelled_table,
    patients,
)
from cxr.runtime.console import run_stage


def main(arguments: Sequence[str] | None = None) -> None:
    """Answer about the films, compare with the labels, and write both."""
    parser = argparse.ArgumentParser(prog="python -m tools.external", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of a bundle")
    parser.add_argument("--films", nargs="+", required=True, help="films, folders of films, or s3:// addresses")
    parser.add_argument("--labels", default="", help="CSV with columns path and label; without it, class folders")
    parser.add_argument("--patient", default="", help="regular expression: what in a film's address names the patient")
    parser.add_argument("--out", type=Path, default=Path("reports/external"), help="folder (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that prepare films")
    options = parser.parse_args(arguments)
    predictor = Predictor.load(options.bundle)
    records = predict_into(options.out / "predictions.csv", predictor, options.films, options.workers, statistics=True)
    compare(records, predictor, options.labels, options.patient, options.out / "external.json")


def compare(
    records: Sequence[Record], predictor: Predictor, labels: str, pattern: str, out: Path | None = None
) -> None:
    """Print figures and drift, and write them where `out` says.

    Args:
        records: of all films.
        predictor: the bundle that answered.
        labels: a CSV, or empty for class folders.
        pattern: regular expression of the patient in a film's address, or empty.
        out: JSON to write, or None.
    """
    films, classes = [record.row["film"] for record in records], predictor.config.classes
    reference = from_csv(labels, films, classes) if labels else from_folders(films, classes)
    table = labelled_table(records, reference, patients(reference, pattern))
    figures = frozen_figures(table, predictor.config, load_section("evaluate", EvaluateSection))
    moved = drift(records, predictor.reference)
    refused = sum(bool(record.row["refused"]) for record in records)
    found = {
        "bundle": predictor.version,
        "films": len(films),
        "labelled": len(reference),
        "refused": refused,
        "figures": figures,
        "drift": moved,
    }
    print(f"\nResearch use only. {len(films)} films, {len(reference)} labelled, {refused} refused.\n")
    print(figures_text(figures), drift_text(moved), sep="\n\n")
    if not pattern and PATIENT not in reference.columns:
        print("\nEach film counts as a patient of its own: with several films a patient, intervals are too narrow.")
    if out is not None:
        write_json(out, found)


if __name__ == "__main__":
    run_stage(main)
