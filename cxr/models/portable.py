"""Arithmetic with the same bits on every processor, and idle cores that leave the others alone."""

import os

THREADS = 2  # a gradient is summed over threads, so their number is part of the result
VARIABLES = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels: eight numbers a vector
    # Convolutions: oneDNN's newer AVX2 kernels cut their sums to fit the caches; those up to AVX do not.
    "ONEDNN_MAX_CPU_ISA": "AVX",
    "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
    "MKL_CBWR": "COMPATIBLE",  # matrix products: the one mode of MKL that serves all makers
    "MKL_DYNAMIC": "FALSE",
    "MKL_NUM_THREADS": str(THREADS),
    "OMP_DYNAMIC": "FALSE",
    "OMP_NUM_THREADS": str(THREADS),
    # What is fitted after training: numpy's functions, and matrix products and factorisations of numpy and scipy.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
}


def passive_waiting() -> None:
    """Threads that wait for each other sleep, unless the environment says otherwise; torch is not loaded yet.

    By default they spin for some milliseconds at the end of each loop. Where another training wants the cores as well,
    they spin on a core that the thread they wait for needs, and both trainings are many times slower than alone.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def use_portable_arithmetic() -> None:
    """Set the variables for this process and its children; neither torch nor numpy is loaded yet."""
    passive_waiting()
    os.environ.update(VARIABLES)


def portability_problem(compiled: bool = False) -> str:
    """What keeps this process from portable arithmetic, in words for a warning; empty where nothing does."""
    import torch

    if compiled:
        return "torch.compile builds code for the processor at hand"
    if os.environ.get("ONEDNN_MAX_CPU_ISA") != VARIABLES["ONEDNN_MAX_CPU_ISA"] or torch.get_num_threads() != THREADS:
        return "torch was loaded without the variables of cxr/models/portable.py"
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        return "the processor has no AVX2, or is no x86-64"
    return ""
