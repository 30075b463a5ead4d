"""How much a data set may make this process hold: one budget of bytes for all readers, asked before anything is unpacked.

A file's header says what it unpacks to, and a few kilobytes can unpack to anything.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from dcdnas.errors import DataError, UsageError

VARIABLE = "DCDNAS_DATA_LIMIT"
"""Environment variable with the budget, in bytes or like ``8GB``."""

PICTURES = 2**31
"""Bytes of pictures that are being decoded at one time, by all threads of a process together."""

MOST_CLASSES = 1_000_000

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def limit() -> int:
    """Bytes that one data set may take in memory: what the environment says, else half of this machine's memory.

    Raises:
        UsageError: when the environment says something else.
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
        where: named in the message.
        needed: in bytes.
        most: allowed for this kind of file; None for what a data set may take.
    """
    allowed = limit() if most is None else min(most, limit())
    if needed > allowed:
        more = f" More is allowed with {VARIABLE}=16GB." if most is None else ""
        raise DataError(f"{where}: unpacks to {needed:,} bytes. Allowed: {allowed:,}.{more} Get it again if it is damaged.")


class Allowance:
    """Bytes that threads share: who wants some waits until they are free.

    Args:
        most: that all take together.
    """

    def __init__(self, most: int) -> None:
        self.most, self._taken, self._changed = most, 0, threading.Condition()

    @contextmanager
    def of(self, needed: int) -> Iterator[None]:
        """Holds some bytes for as long as the context lasts.

        Raises:
            ValueError: when there are not so many at all.
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
