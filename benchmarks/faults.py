"""What the pipeline survives, by counts: python -m benchmarks.faults crash --kills 100 --minutes 8.

`crash` kills `dvc repro` with SIGKILL at random moments of every stage and runs it again; `determinism` runs a small
cohort under other locales, clocks, masks, threads, places and orders and compares the bytes. Both keep a journal, so
that a count can be collected in pieces; without `--minutes` they run until it is full. docs/operations.md has the counts.
"""

import argparse
from pathlib import Path

from benchmarks.faults_crash import crash
from benchmarks.faults_determinism import determinism
from cxr.runtime.console import run_stage

WORK = Path(".cache/faults")


def main(arguments: list[str] | None = None) -> None:
    """Run one of the two and print its counts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("crash", help="kill, run again, compare")
    one.add_argument("--kills", type=int, default=100, help="kills in all, those of the journal included")
    one.add_argument("--seed", type=int, default=0, help="of the moments")
    two = kinds.add_parser("determinism", help="one change at a time against a plain run")
    for command in (one, two):
        command.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing new after this time")
        command.add_argument("--work", type=Path, default=WORK, help="folder of the journal and of the scratch clones")
    options = parser.parse_args(arguments)
    if options.kind == "crash":
        crash(options.work.resolve(), options.kills, options.seed, options.minutes)
    else:
        determinism(options.work.resolve(), options.minutes)


if __name__ == "__main__":
    run_stage(main)
