"""Cost of one more film as a share of the full run, and memory with a tenth of the films and with all films.

Runs the real stages as processes in a temporary folder:

    python -m benchmarks.incremental --films 5000
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.large_cohort import DISTINCT, HEIGHT, WIDTH, write_film, write_large_cohort
from cxr.films.read import read_film
from cxr.runtime.console import setup_logging
from testing.workspace import STAGES, Run, cached_films, make_workspace, run_stage


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=5000)
    parser.add_argument("--width", type=int, default=WIDTH, help="pixels")
    parser.add_argument("--height", type=int, default=HEIGHT, help="pixels")
    parser.add_argument("--workers", default="auto", help="as in compute.yaml")
    options = parser.parse_args()
    workers = options.workers if options.workers == "auto" else int(options.workers)
    setup_logging()
    with tempfile.TemporaryDirectory(prefix="incremental-") as name:
        folder = Path(name)
        few, many = folder / "few", folder / "many"
        write_large_cohort(few, options.films // 10, options.width, options.height)
        write_large_cohort(many, options.films, options.width, options.height)
        small = run_all(make_workspace(folder / "small", few, workers))
        workspace = make_workspace(folder / "large", many, workers)
        full = run_all(workspace)
        before = {stage: cached_films(workspace, stage) for stage in STAGES}
        write_film(many, DISTINCT * 40 * 20 - 1, read_film(str(next((many / "NORMAL").iterdir()))).grey)
        more = run_all(workspace)
        computed = {stage: cached_films(workspace, stage) - before[stage] for stage in STAGES}
        report(options.films, small, full, more, computed)


def run_all(workspace: Path) -> dict[str, Run]:
    """Run the three stages one after the other."""
    return {stage: run_stage(workspace, stage) for stage in STAGES}


def report(
    films: int, small: dict[str, Run], full: dict[str, Run], more: dict[str, Run], computed: dict[str, int]
) -> None:
    """Print times, shares and peak memory."""
    print(f"{'stage':<12}{f'{films} films':>14}{'+1 film':>10}{'share':>9}{'computed':>10}", end="")
    print(f"{f'peak, {films // 10} films':>20}{f'peak, {films} films':>20}")
    for stage in STAGES:
        share = more[stage].seconds / full[stage].seconds
        print(f"{stage:<12}{full[stage].seconds:>12.1f} s{more[stage].seconds:>8.1f} s{share:>9.1%}", end="")
        print(f"{computed[stage]:>10}{small[stage].megabytes:>17.0f} MB{full[stage].megabytes:>17.0f} MB")
    total, extra = (sum(run.seconds for run in runs.values()) for runs in (full, more))
    peak = max(run.megabytes for run in full.values())
    print(f"{'together':<12}{total:>12.1f} s{extra:>8.1f} s{extra / total:>9.1%}{'':>27}{peak:>20.0f} MB")


if __name__ == "__main__":
    main()
