"""Freed memory stays in the process once it was asked to."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from dcdnas.training.allocator import keep_freed_memory

PROGRAM = """
import resource, torch
from dcdnas.training.allocator import keep_freed_memory

def faults():
    for _ in range(10):
        torch.ones(4_000_000), torch.ones(10_000_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(4_000_000), torch.ones(10_000_000)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 20

before = faults()
print(before, keep_freed_memory(), faults())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_blocks_that_are_freed_and_taken_again_need_no_new_pages() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    before, listened, after = run.stdout.split()
    assert listened == "True"
    assert int(before) > 1000
    assert int(after) < int(before) / 10


def test_elsewhere_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert keep_freed_memory() is False
