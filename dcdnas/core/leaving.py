"""The end of a process in which a library would hang or crash at an ordinary end, as Ray does when its cluster is gone."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

_sudden = False


def leave_suddenly() -> None:
    """From now on the command line ends this process without asking anybody to tidy up."""
    global _sudden
    _sudden = True


def leave(code: int) -> NoReturn:
    """Ends the process with an exit code."""
    if _sudden:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
