"""Keeping freed memory in the process, so that a training on the CPU does not ask the system for it again in every step.

The C library gives each large block back when it is freed and takes a new one the next time, and the system clears its pages.
A step of a small network does that for all of its maps: thousands of page faults a step, and an eighth or more of the processor
time of one thread (`benchmarks/training.py`).
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Numbers of glibc's `mallopt` parameters (malloc.h)."""


def keep_freed_memory() -> bool:
    """Tells the C library never to give memory back to the system; for worker processes, which train one network after another.

    Returns:
        Whether it listened; without glibc nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Blocks from the growing heap only, no trimming of its end, and growth by 64 MiB at a time.
    return all([mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, 2**31 - 1), mallopt(TOP_PAD, 64 << 20)])
