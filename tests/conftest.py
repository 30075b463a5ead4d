"""Settings of all tests, such as one thread, so that timings and results do not depend on the number of cores."""

from __future__ import annotations

import gc
import os
import signal
import tempfile

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)

settings.register_profile("all", deadline=None)  # a slow machine is not a failure; pytest-timeout catches hangs
settings.register_profile("quick", deadline=None, max_examples=6)


def pytest_configure(config: pytest.Config) -> None:
    """Use fewer examples of each property when slow tests are deselected."""
    settings.load_profile("quick" if "not slow" in (config.option.markexpr or "") else "all")


def pytest_collection_finish() -> None:
    """Exclude the imported packages and the collected tests from further garbage collections."""
    gc.freeze()


os.environ["RAY_AUTH_MODE"] = "disabled"  # read once per process, so it must be the same for every Ray cluster of a test

os.environ["DCDNAS_CACHE"] = tempfile.mkdtemp(prefix="dcdnas-tests-")  # without prices cached by earlier runs

os.environ.pop("DCDNAS_RUNS", None)  # tests make their runs in folders of their own

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background jobs, also by child processes
