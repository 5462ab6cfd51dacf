"""demo: nothing but a seed -> data/demo, the embedded cohort of synthetic chest films with known lungs."""

import os
from pathlib import Path

from cxr.console.stage import run_stage
from cxr.core.config import load_section
from demo.config import DemoSection

# numpy's exponentials and powers differ in the last digit between processors with these vectors and without.
WIDE_VECTORS = "X86_V4 AVX512_ICL AVX512_SPR"


def main() -> None:
    """Replace data/demo by the cohort that params.yaml describes; the same bytes on every x86-64 CPU with AVX2."""
    os.environ["NPY_DISABLE_CPU_FEATURES"] = WIDE_VECTORS  # before numpy is loaded, here and in the workers
    from cxr.compute.settings import load_compute
    from demo.cohort import write_cohort

    write_cohort(Path("data/demo"), load_section("demo", DemoSection), load_compute())


if __name__ == "__main__":
    run_stage(main)
