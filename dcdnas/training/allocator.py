"""Keeps freed memory in the process, so that a training on the CPU does not request it from the system again in every step.

By default the C library returns each large block to the system when it is freed and requests a new one the next time, whose
pages the system has to clear. A training step of a small network does this for all of its feature maps: it causes thousands of
page faults and takes an eighth or more of one thread's processor time (`benchmarks/training.py`).
"""

from __future__ import annotations

import ctypes
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Numbers of glibc's `mallopt` parameters (malloc.h)."""


def keep_freed_memory() -> bool:
    """Tells the C library never to return memory to the system; for worker processes, which train one network after another.

    Returns:
        Whether the C library accepted the settings; without glibc nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    # Take blocks only from the growing heap, never trim its end, and grow it by 64 MiB at a time.
    return all([mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, 2**31 - 1), mallopt(TOP_PAD, 64 << 20)])
