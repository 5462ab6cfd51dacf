"""Compare two revisions honestly: python -m tools.compare main my-branch."""

import argparse

from cxr.console.stage import run_stage
from cxr.report.comparison import as_text, compare_results
from cxr.report.revisions import read_results


def main(arguments: list[str] | None = None) -> None:
    """Print B - A of every figure with its interval and verdict."""
    parser = argparse.ArgumentParser(prog="python -m tools.compare", description=__doc__)
    parser.add_argument("a", metavar="REV_A", help="commit, branch, tag, experiment, or `workspace`")
    parser.add_argument("b", metavar="REV_B", help="the same; its difference from REV_A is told")
    parser.add_argument("--split", choices=("auto", "test", "val"), default="auto", help="auto: test if both have it")
    options = parser.parse_args(arguments)
    a, b = read_results(options.a), read_results(options.b)
    print(as_text(compare_results(a, b, options.split), options.a, options.b))


if __name__ == "__main__":
    run_stage(main)
