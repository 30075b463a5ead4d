"""Ends a process in which a library would hang or crash at a normal exit, as Ray does when its cluster is gone."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

_sudden = False


def leave_suddenly() -> None:
    """Makes `leave` end this process at once from now on, without running exit handlers."""
    global _sudden
    _sudden = True


def leave(code: int) -> NoReturn:
    """Ends the process with an exit code, at once after `leave_suddenly`."""
    if _sudden:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
