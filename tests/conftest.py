"""Settings of all tests, such as one thread, so that timings and results do not depend on the number of cores."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)

gc.set_threshold(*gc.get_threshold()[:2], 100)  # full collections, which visit every imported module, are rare

settings.register_profile("all", deadline=None)  # a slow machine is not a failure; pytest-timeout catches hangs
settings.register_profile("quick", deadline=None, max_examples=6)


MEMORY = Path("/dev/shm")
ROOM = 4 * 2**30
"""Bytes that have to be free in `MEMORY` for the temporary files of all tests."""


def folder_of_the_session() -> str:
    """Makes a folder for the temporary files of all tests: where ``TMPDIR`` says, else in memory if there is room.

    A search waits until the disk has each of its results, and the tests search thousands of times.
    """
    in_memory = "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return tempfile.mkdtemp(prefix="dcdnas-", dir=MEMORY if in_memory else None)


if "PYTEST_XDIST_WORKER" not in os.environ:  # workers inherit the folder, and the kernels and prices in its cache
    os.environ.setdefault("RAY_TMPDIR", tempfile.gettempdir())  # short, because the paths of Ray's sockets must be
    os.environ["TMPDIR"] = folder_of_the_session()
    os.environ["DCDNAS_CACHE"] = os.path.join(os.environ["TMPDIR"], "cache")  # without prices cached by earlier runs
tempfile.tempdir = os.environ["TMPDIR"]


def pytest_configure(config: pytest.Config) -> None:
    """Use fewer examples of each property when slow tests are deselected."""
    settings.load_profile("quick" if "not slow" in (config.option.markexpr or "") else "all")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remove the temporary files, unless there are failures to look into."""
    if "PYTEST_XDIST_WORKER" not in os.environ and exitstatus == 0:
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)


def pytest_collection_finish() -> None:
    """Exclude the imported packages and the collected tests from further garbage collections."""
    gc.freeze()


os.environ["RAY_AUTH_MODE"] = "disabled"  # read once per process, so it must be the same for every Ray cluster of a test

os.environ.pop("DCDNAS_RUNS", None)  # tests make their runs in folders of their own

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background jobs, also by child processes
