"""Memory that a batch frees is there for the next one."""

import subprocess
import sys
from pathlib import Path

CODE = """
import resource
from cxr.train.memory import keep_freed_memory
keep_freed_memory()
import numpy as np
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def batch(): [np.ones(20_000_000, np.uint8) for _ in range(4)]
batch()
before = faults()
for _ in range(10): batch()
print(faults() - before)
"""


def test_the_kernel_clears_no_page_for_a_second_batch() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", CODE], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) < 5_000, "one batch is 20,000 pages, ten are 200,000"
