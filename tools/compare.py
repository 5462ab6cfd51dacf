"""Compare two revisions, or several runs of each, honestly: python -m tools.compare main workspace."""

import argparse

from cxr.core.config import load_section
from cxr.evaluate.config import EvaluateSection
from cxr.report.experiments import read_side
from cxr.report.verdict import as_text, compare_results
from cxr.runtime.console import run_stage


def main(arguments: list[str] | None = None) -> None:
    """Print B - A of every figure with its interval and, where training noise is known, a verdict."""
    parser = argparse.ArgumentParser(prog="python -m tools.compare", description=__doc__)
    parser.add_argument("a", metavar="A", help="commit, branch, tag, experiment or `workspace`; several with commas "
                        "between them; `main~seeds` for main and its experiments with other seeds")  # fmt: skip
    parser.add_argument("b", metavar="B", help="the same; B minus A is printed")
    parser.add_argument("--split", choices=("auto", "test", "val"), default="auto", help="auto: test if both have it")
    options = parser.parse_args(arguments)
    section = load_section("evaluate", EvaluateSection)
    a, b = read_side(options.a), read_side(options.b)
    print(as_text(compare_results(a, b, section, options.split), options.a, options.b))


if __name__ == "__main__":
    run_stage(main)
