"""What each batch frees, the next one takes up."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST_KEPT = 32 << 20  # bytes; glibc takes no more


def keep_freed_memory() -> None:
    """Freed memory stays with this process, where the C library is glibc: no result depends on it.

    Every batch needs the same sizes again, and glibc gives large ones back to the kernel, which clears each page anew:
    a quarter of the processor time of augmentation.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
