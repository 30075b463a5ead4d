"""Limits the memory that reading a data set may take: one limit in bytes for all readers, checked before anything is unpacked.

The header of a file states its unpacked size, and a file of a few kilobytes can unpack to any size.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dcdnas.errors import DataError, UsageError

VARIABLE = "DCDNAS_DATA_LIMIT"
"""Environment variable that sets the limit, in bytes or like ``8GB``."""

PICTURES = 2**31
"""Most bytes of pictures that are decoded at the same time, over all threads of a process."""

MOST_CLASSES = 1_000_000

_UNITS = {"": 1, "B": 1} | {f"{prefix}B": 1000**n for n, prefix in enumerate("KMGT", 1)}
_UNITS |= {f"{prefix}IB": 1024**n for n, prefix in enumerate("KMGT", 1)}


def limit() -> int:
    """Most bytes that one data set may take in memory: the value of ``DCDNAS_DATA_LIMIT``, else half of the machine's memory.

    Raises:
        UsageError: when the variable does not hold a number of bytes.
    """
    said = os.environ.get(VARIABLE)
    if said:
        number = said.strip().upper().rstrip("BIKMGT")
        unit = said.strip().upper()[len(number) :]
        try:
            return int(float(number) * _UNITS[unit])
        except (KeyError, ValueError, OverflowError):
            raise UsageError(f"{VARIABLE}={said}: no number of bytes. Write one like 8GB.") from None
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):
        return 2**33


def check_bytes(where: str, needed: int, most: int | None = None) -> None:
    """Raises DataError when something unpacks to more bytes than it may.

    Args:
        where: named in the error message.
        needed: unpacked size in bytes.
        most: a lower limit for this kind of file; None for the limit of a whole data set.
    """
    allowed = limit() if most is None else min(most, limit())
    if needed > allowed:
        more = f" More is allowed with {VARIABLE}=16GB." if most is None else ""
        raise DataError(f"{where}: unpacks to {needed:,} bytes. Allowed: {allowed:,}.{more} Get it again if it is damaged.")


class Allowance:
    """A memory allowance shared by threads: a thread waits until the bytes that it needs are free.

    Args:
        most: bytes that all threads together may hold.
    """

    def __init__(self, most: int) -> None:
        self.most, self._taken, self._changed = most, 0, threading.Condition()

    @contextmanager
    def of(self, needed: int) -> Iterator[None]:
        """Reserves bytes for the duration of the context.

        Raises:
            ValueError: when more bytes are needed than the whole allowance.
        """
        if needed > self.most:
            raise ValueError(f"decodes to {needed:,} bytes, allowed are {self.most:,}")
        with self._changed:
            self._changed.wait_for(lambda: self._taken + needed <= self.most)
            self._taken += needed
        try:
            yield
        finally:
            with self._changed:
                self._taken -= needed
                self._changed.notify_all()
