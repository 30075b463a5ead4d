"""Serves the pages during a search from a separate process, so that reading a long run takes no time from the search."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dcdnas.dashboard.app import HOST, PORT, address, listen, server
from dcdnas.errors import UsageError

PATIENCE = 5.0
"""Seconds that the process has to end before it is killed."""


@contextmanager
def beside(runs: Path, port: int = PORT) -> Iterator[str]:
    """Serves a folder of runs within the `with` block and yields the address; uses any free port when the port is taken.

    The server process ends with the block, and also when this process dies. A Ctrl-C in the terminal does not reach it, so that
    the pages still show how the search is stopped.
    """
    try:
        listener = listen(HOST, port)
    except UsageError:
        listener = listen(HOST, 0)
    with listener:
        url = address(listener)
        process = multiprocessing.get_context("spawn").Process(
            target=_serve, args=(runs.absolute(), listener), name="dashboard", daemon=True
        )
        process.start()
    try:
        yield url
    finally:
        process.terminate()
        process.join(PATIENCE)
        if process.is_alive():
            process.kill()


def _serve(runs: Path, listener: socket.socket) -> None:
    with suppress(AttributeError, OSError):
        os.setsid()
    made = server(runs, HOST)
    threading.Thread(target=_follow, daemon=True).start()
    made.run(sockets=[listener])


def _follow() -> None:
    """Ends this process as soon as the parent process is gone; it only reads, so nothing can be left half written."""
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(0)
