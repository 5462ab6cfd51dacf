"""Write docs/model_card.md from the workspace's results: python -m tools.model_card."""

from pathlib import Path

from cxr.console.stage import run_stage
from cxr.core.files import write_text
from cxr.report.model_card import model_card
from cxr.report.revisions import WORKSPACE, read_results


def main() -> None:
    """Write the card."""
    write_text(Path("docs/model_card.md"), model_card(read_results(WORKSPACE)))


if __name__ == "__main__":
    run_stage(main)
