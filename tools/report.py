"""Write reports/report.md and reports/report.html: python -m tools.report --base main."""

import argparse
import logging
from pathlib import Path

from cxr.report.build import build_report
from cxr.report.verdict import sentence
from cxr.runtime.console import run_stage

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> None:
    """Report the workspace's results, measured against a base revision."""
    parser = argparse.ArgumentParser(prog="python -m tools.report", description=__doc__)
    parser.add_argument("--base", help="revision to measure against: commit, branch, tag or experiment")
    parser.add_argument("--out", type=Path, default=Path("reports"), help="folder to write into (default: %(default)s)")
    options = parser.parse_args(arguments)
    found = build_report(options.base, options.out)
    log.info("%s", found if isinstance(found, str) else sentence(found))
    log.info("wrote %s and %s", options.out / "report.md", options.out / "report.html")


if __name__ == "__main__":
    run_stage(main)
