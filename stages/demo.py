"""Write the embedded cohort: synthetic chest films with known lungs."""

from pathlib import Path

from cxr.compute.settings import load_compute
from cxr.console.stage import run_stage
from cxr.core.config import load_section
from demo.cohort import write_cohort
from demo.config import DemoSection


def main() -> None:
    """Replace data/demo by the cohort that params.yaml describes."""
    write_cohort(Path("data/demo"), load_section("demo", DemoSection), load_compute())


if __name__ == "__main__":
    run_stage(main)
