"""What a run would start from, and all that would stop it, before any work: python -m tools.check.

Prints a table of what was understood of settings, films and machine, and writes a contact sheet of the films.
"""

import argparse
import logging
from pathlib import Path

import cv2

from cxr.check.cohort import check_cohort
from cxr.check.machine import check_machine
from cxr.check.report import CheckReport
from cxr.check.sheet import contact_sheet
from cxr.core.config import load_section
from cxr.core.errors import CxrError
from cxr.core.files import write_bytes
from cxr.ingest.config import DataSection
from cxr.preprocess.config import PreprocessSection
from cxr.runtime.compute import load_compute
from cxr.runtime.console import run_stage
from cxr.train.config import TrainSection
from stages.check import settings_mistakes

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> None:
    """Print the table and the warnings; end with every fault at once."""
    parser = argparse.ArgumentParser(prog="python -m tools.check", description=__doc__)
    parser.add_argument("--sheet", type=Path, default=Path("reports/films.png"), help="where the contact sheet goes")
    options = parser.parse_args(arguments)
    mistakes = settings_mistakes()
    if mistakes:
        raise CxrError("\n".join(mistakes))
    report = CheckReport()
    data = load_section("data", DataSection)
    films = check_cohort(data, report)
    if films and data.layout != "medmnist":
        sheet = contact_sheet(films, data.classes)
        write_bytes(options.sheet, cv2.imencode(".png", sheet)[1].tobytes())
        report.row("contact sheet", str(options.sheet))
    train, preprocess = load_section("train", TrainSection), load_section("preprocess", PreprocessSection)
    check_machine(train, preprocess, load_compute(), len(films), report)
    print(report.as_text())
    for line in report.warnings:
        log.warning("%s", line)
    if report.faults:
        raise CxrError("\n".join(report.faults))
    log.info("nothing stands in the way of `dvc repro`")


if __name__ == "__main__":
    run_stage(main)
