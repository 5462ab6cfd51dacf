"""Settings for arithmetic with the same bits on every processor, and for passive waiting of threads."""

import os

THREADS = 2  # gradients are summed over threads, so the number of threads affects the result
VARIABLES = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels: eight numbers per vector
    # Convolutions: oneDNN's AVX2 kernels split their sums by cache size; kernels up to AVX do not.
    "ONEDNN_MAX_CPU_ISA": "AVX",
    "ONEDNN_DEFAULT_FPMATH_MODE": "STRICT",
    "MKL_CBWR": "COMPATIBLE",  # matrix products: the only MKL mode for processors of all vendors
    "MKL_DYNAMIC": "FALSE",
    "MKL_NUM_THREADS": str(THREADS),
    "OMP_DYNAMIC": "FALSE",
    "OMP_NUM_THREADS": str(THREADS),
    # Fits after training: numpy's functions, and matrix products and factorisations of numpy and scipy.
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
}


def passive_waiting() -> None:
    """Let waiting threads sleep, unless the environment sets another policy; call it before torch is loaded.

    By default they spin for some milliseconds at the end of each loop. When two trainings share the cores, they occupy
    the core of the thread that they wait for, and both trainings become many times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def use_portable_arithmetic() -> None:
    """Set the variables for this process and its children; call it before numpy and torch are loaded."""
    passive_waiting()
    os.environ.update(VARIABLES)


def portability_problem(compiled: bool = False) -> str:
    """Why this process cannot compute portably, as text for a warning; empty if it can."""
    import torch

    if compiled:
        return "torch.compile generates code for this processor"
    if os.environ.get("ONEDNN_MAX_CPU_ISA") != VARIABLES["ONEDNN_MAX_CPU_ISA"] or torch.get_num_threads() != THREADS:
        return "torch was loaded without the variables of cxr/models/portable.py"
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        return "the processor is not an x86-64 with AVX2"
    return ""
