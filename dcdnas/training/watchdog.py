"""The last resort against a training that hangs: a timer outside the interpreter terminates the process.

A deadline that is checked between batches cannot interrupt a batch that never finishes. Python's `faulthandler` runs its timer
in a separate thread that does not need the interpreter's lock, so it can terminate even a process that is stuck inside a
library. Before that, it writes the traceback of every thread to standard error. The process exits with status 1.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def watchdog(seconds: float) -> Iterator[None]:
    """Terminates this process when the block takes longer than `seconds`; 0 or less sets no limit.

    Meant for worker processes. Do not nest: there is only one timer per process.
    """
    if seconds > 0:
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        yield
    finally:
        if seconds > 0:
            faulthandler.cancel_dump_traceback_later()
