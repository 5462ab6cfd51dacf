"""demo: a seed -> data/demo, the embedded cohort of synthetic chest films with known lungs."""

import logging
import os
from pathlib import Path

from cxr.core.config import PARAMS_FILE, load_section, read_yaml
from cxr.core.files import atomic_folder
from cxr.runtime.console import run_stage
from demo.config import DemoSection

log = logging.getLogger(__name__)
COHORT = Path("data/demo")

# With these vector instructions, numpy's exponentials and powers differ in the last digit.
WIDE_VECTORS = "X86_V4 AVX512_ICL AVX512_SPR"


def main() -> None:
    """Replace data/demo by the cohort that params.yaml describes; the same bytes on every x86-64 CPU with AVX2.

    When data.root is another folder, the cohort is not needed, and data/demo is left empty.
    """
    root = read_yaml(PARAMS_FILE)["data"]["root"]
    if not Path(root).is_relative_to(COHORT):
        with atomic_folder(COHORT):
            log.info("data.root is %s: the embedded cohort is not drawn", root)
        return
    os.environ["NPY_DISABLE_CPU_FEATURES"] = WIDE_VECTORS  # before numpy is loaded, here and in the workers
    from cxr.runtime.compute import load_compute
    from demo.cohort import write_cohort

    write_cohort(COHORT, load_section("demo", DemoSection), load_compute())


if __name__ == "__main__":
    run_stage(main)
