"""The end of a process that cannot end in an ordinary way."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("sudden", [False, True])
def test_a_process_that_leaves_suddenly_asks_nobody_to_tidy_up(sudden: bool) -> None:
    code = (
        "import atexit\nfrom dcdnas.core.leaving import leave, leave_suddenly\n"
        "atexit.register(lambda: print('tidied'))\nprint('said', end=' ')\n"
        f"{'leave_suddenly()' if sudden else ''}\nleave(3)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (3, "said " if sudden else "said tidied\n")
