"""Settings of every test: one thread, so that timings and results do not depend on the machine's cores."""

from __future__ import annotations

import gc
import os
import signal
import tempfile

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)

settings.register_profile("all", deadline=None)  # a busy machine is no failure; pytest-timeout catches what hangs
settings.register_profile("quick", deadline=None, max_examples=10)


def pytest_configure(config: pytest.Config) -> None:
    """Fewer examples of each property where slow tests are left out."""
    settings.load_profile("quick" if "not slow" in (config.option.markexpr or "") else "all")


def pytest_collection_finish() -> None:
    """Keep the garbage collector from going through the imported packages and the collected tests again and again."""
    gc.freeze()


os.environ["RAY_AUTH_MODE"] = "disabled"  # a process reads it once, so every Ray that a test starts must find the same

os.environ["DCDNAS_CACHE"] = tempfile.mkdtemp(prefix="dcdnas-tests-")  # prices that no earlier run has left

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would all that tests start
