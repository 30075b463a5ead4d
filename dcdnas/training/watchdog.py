"""The last resort against a training that hangs: the process is ended from outside the interpreter.

A deadline that is checked between batches cannot interrupt a batch that never ends. Python's `faulthandler` runs its timer in
a thread of its own that does not need the interpreter's lock, so it ends even a process stuck inside a library; before that it
writes where every thread stood to the standard error. The process exits with status 1.
"""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def watchdog(seconds: float) -> Iterator[None]:
    """Ends this process when the block takes longer than `seconds`; 0 or less never does.

    Meant for worker processes. There is one timer a process: do not nest.
    """
    if seconds > 0:
        faulthandler.dump_traceback_later(seconds, exit=True, file=2)
    try:
        yield
    finally:
        if seconds > 0:
            faulthandler.cancel_dump_traceback_later()
