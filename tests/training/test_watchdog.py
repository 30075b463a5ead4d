"""The watchdog ends a process that hangs, wherever it hangs, and only that."""

from __future__ import annotations

import subprocess
import sys

HANGS_IN_PYTHON = """
import time
from dcdnas.training.watchdog import watchdog
with watchdog(0.3):
    while True:
        time.sleep(0.01)
"""

HOLDS_THE_INTERPRETER = """
import re
from dcdnas.training.watchdog import watchdog
with watchdog(0.3):
    re.match("(a+)+$", "a" * 40 + "b")
"""

IN_TIME = """
import time
from dcdnas.training.watchdog import watchdog
with watchdog(0.3):
    pass
with watchdog(0):
    time.sleep(0.5)
print("alive")
"""


def run(program: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_process_that_hangs_is_ended_and_says_where_it_stood() -> None:
    code, _, errors = run(HANGS_IN_PYTHON)
    assert code == 1
    assert "Timeout" in errors
    assert 'File "<string>", line 6' in errors


def test_a_process_that_never_gives_the_interpreter_back_is_ended_too() -> None:
    """Were it not, it would take days."""
    code, _, errors = run(HOLDS_THE_INTERPRETER)
    assert code == 1
    assert "Timeout" in errors


def test_a_block_that_ends_in_time_and_one_without_a_limit_are_left_alone() -> None:
    code, output, errors = run(IN_TIME)
    assert (code, output, errors) == (0, "alive\n", "")
