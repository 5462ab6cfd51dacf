"""Commands about results: comparison, report, model card."""

import argparse
import logging
from pathlib import Path

from cxr.commands.parser import Commands
from cxr.core.errors import CxrError

log = logging.getLogger(__name__)


def add_result_commands(commands: Commands) -> None:
    """Add compare, report and model-card."""
    compare = commands.add("compare", _compare)
    compare.add_argument("a", metavar="A", help="commit, branch, tag, experiment or `workspace`; several separated by "
                         "commas; `main~seeds`: main and its experiments with other seeds")  # fmt: skip
    compare.add_argument("b", metavar="B", help="the same; the result is B minus A")
    compare.add_argument("--split", choices=("auto", "test", "val"), default="auto", help="auto: test if all have it")

    report = commands.add("report", _report)
    report.add_argument("--base", help="revision to compare with: commit, branch, tag or experiment")
    report.add_argument("--out", type=Path, default=Path("reports"), help="folder to write into (default: %(default)s)")

    card = commands.add("model-card", _model_card)
    card.add_argument("--check", action="store_true", help="write nothing; fail if the card is out of date")


def _compare(options: argparse.Namespace) -> None:
    """Compare two revisions, or several runs of each.

    Prints B - A of every metric with its 95 % CI and, where training noise is known, a verdict.
    """
    from cxr.core.config import load_section
    from cxr.evaluate.config import EvaluateSection
    from cxr.report.revisions import older_names, read_runs
    from cxr.report.verdict import as_text, compare_results

    section = load_section("evaluate", EvaluateSection)
    a, b = read_runs(options.a), read_runs(options.b)
    for warning in (warning for run in (*a, *b) for warning in older_names(run)):
        log.warning("%s", warning)
    print(as_text(compare_results(a, b, section, options.split), options.a, options.b))


def _report(options: argparse.Namespace) -> None:
    """Write reports/report.md and reports/report.html of the workspace."""
    from cxr.report.build import build_report
    from cxr.report.verdict import sentence

    found = build_report(options.base, options.out)
    log.info("%s", found if isinstance(found, str) else sentence(found))
    log.info("wrote %s and %s", options.out / "report.md", options.out / "report.html")


def _model_card(options: argparse.Namespace) -> None:
    """Write docs/model_card.md from the results of the workspace."""
    from cxr.core.files import write_text
    from cxr.report.model_card import model_card
    from cxr.report.revisions import CARD, WORKSPACE, read_results, staleness

    results = read_results(WORKSPACE)
    card = model_card(results)
    if options.check:
        if not CARD.is_file() or CARD.read_text(encoding="utf-8") != card:
            raise CxrError(f"{CARD}: not of the results in metrics/; run `python -m cxr model-card`")
        return
    write_text(CARD, card)
    for warning in staleness(results):
        log.warning("%s", warning)
