"""Portable arithmetic holds whatever the environment says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cxr.models import portable

ROOT = Path(__file__).parents[2]


def two_steps(caps: dict[str, str]) -> str:
    """MD5 of the weights after two training steps of a small network, in a process with these variables."""
    command = [sys.executable, "-m", "benchmarks.repeat_step", "64", "4"]
    environment = {**os.environ, **caps}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def test_weights_have_the_same_bits_under_other_caps_and_thread_counts() -> None:
    older = {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "AVX2"}
    assert two_steps({"OMP_NUM_THREADS": "1"}) == two_steps({**older, "MKL_NUM_THREADS": "3"})


@pytest.mark.parametrize("stage", ["train", "evaluate", "package"])
def test_a_stage_sets_the_variables_before_torch_is_loaded(stage: str) -> None:
    code = f"""
import sys, stages.{stage}, cxr.models.portable as portable
class Reached(Exception): pass
def reached():
    assert "torch" not in sys.modules and ("numpy" not in sys.modules or "{stage}" == "train")
    raise Reached
stages.{stage}.use_portable_arithmetic = reached
try: stages.{stage}.main()
except Reached: print("reached")
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "reached"


def test_the_reason_against_portable_arithmetic_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in portable.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert "without the variables" in portable.portability_problem()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX")
    monkeypatch.setattr(torch, "get_num_threads", lambda: portable.THREADS)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert "AVX2" in portable.portability_problem()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert portable.portability_problem() == ""
    assert "torch.compile" in portable.portability_problem(compiled=True)
