"""The head of a Ray cluster, which has all that the cluster knows: whether it still answers.

A process that is connected to a cluster is ended by Ray a minute after the head is gone, in the midst of what it does. So a
search has to notice before, and nobody may say good-bye to Ray.
"""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import ray

PATIENCE = 20.0
"""Seconds without an answer after which the head is gone; Ray itself ends the process after 60."""

PERIOD = 2.0
"""Seconds between two questions."""


class HeadLostError(Exception):
    """The head of the cluster does not answer any more."""


class Head:
    """The head of the cluster that this process is connected to."""

    def __init__(self) -> None:
        self.address: str = ray.get_runtime_context().gcs_address
        host, _, port = self.address.rpartition(":")
        self._place = host.strip("[]"), int(port)
        self._asked = self._answered = time.monotonic()

    def check(self) -> None:
        """Asks whether the head is there, where that was not just asked.

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
