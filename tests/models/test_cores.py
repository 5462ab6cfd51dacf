"""The train stage leaves cores to others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("portable", [True, False])
def test_threads_of_a_training_do_not_spin_while_they_wait(portable: bool) -> None:
    code = f"""
import sys, types, stages.train
stages.train.load_section = lambda *_: types.SimpleNamespace(portable={portable})
sys.modules["cxr.train.train"] = None  # its import is where the stage comes to torch
try: stages.train.main()
except ImportError: import torch
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment = {**clean, "OMP_DISPLAY_ENV": "verbose"}  # the OpenMP runtime tells how it was set up
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "GOMP_SPINCOUNT = '0'" in ran.stderr


def test_an_active_wait_policy_of_the_environment_is_kept() -> None:
    code = (
        "from cxr.models.portable import passive_waiting; import os; passive_waiting(); "
        "print(os.environ['OMP_WAIT_POLICY'])"
    )
    environment = {**os.environ, "OMP_WAIT_POLICY": "ACTIVE"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.stdout == "ACTIVE\n"
