"""Checks whether the head of a Ray cluster, which holds the cluster's state, still answers.

Ray kills every process that is connected to a cluster a minute after the head is gone, whatever the process is doing. A search
therefore has to notice before, and it may not call `ray.shutdown`.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import ray

PATIENCE = 20.0
"""Seconds without an answer after which the head counts as gone; Ray itself kills the process after 60."""

PERIOD = 2.0
"""Seconds between two checks."""


class HeadLostError(Exception):
    """Raised when the head of the cluster does not answer any more."""


class Head:
    """The head of the cluster that this process is connected to."""

    def __init__(self) -> None:
        self.address: str = ray.get_runtime_context().gcs_address
        host, _, port = self.address.rpartition(":")
        self._place = host.strip("[]"), int(port)
        self._asked = self._answered = time.monotonic()

    def check(self) -> None:
        """Checks that the head answers, unless it was checked less than `PERIOD` seconds ago.

        Raises:
            HeadLostError: when it has not answered for `PATIENCE` seconds.
        """
        now = time.monotonic()
        if now < self._asked + PERIOD:
            return
        self._asked = now
        with suppress(OSError), socket.create_connection(self._place, timeout=PERIOD):
            self._answered = time.monotonic()
        if time.monotonic() > self._answered + PATIENCE:
            raise HeadLostError(f"the head of the Ray cluster, {self.address}, has not answered for {PATIENCE:.0f} seconds")
