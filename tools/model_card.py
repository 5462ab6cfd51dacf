"""Write docs/model_card.md from the workspace's results: python -m tools.model_card."""

import argparse
import logging

from cxr.core.errors import CxrError
from cxr.core.files import write_text
from cxr.report.model_card import model_card
from cxr.report.revisions import CARD, WORKSPACE, read_results, stale
from cxr.runtime.console import run_stage

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> None:
    """Write the card, or with `--check` fail where it describes other results than those at hand."""
    parser = argparse.ArgumentParser(prog="python -m tools.model_card", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the card is not of these results")
    options = parser.parse_args(arguments)
    results = read_results(WORKSPACE)
    card = model_card(results)
    if options.check:
        if not CARD.is_file() or CARD.read_text(encoding="utf-8") != card:
            raise CxrError(f"{CARD} does not describe the results in metrics/; run `make model-card`")
        return
    write_text(CARD, card)
    for warning in stale(results):
        log.warning("%s", warning)


if __name__ == "__main__":
    run_stage(main)
