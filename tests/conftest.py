"""Settings of every test: one thread, so that timings and results do not depend on the machine's cores."""

from __future__ import annotations

import os
import signal
import tempfile

import torch
from hypothesis import settings

torch.set_num_threads(1)

settings.register_profile("dcdnas", deadline=None)  # a busy machine is no failure; pytest-timeout catches what hangs
settings.load_profile("dcdnas")

os.environ["RAY_AUTH_MODE"] = "disabled"  # a process reads it once, so every Ray that a test starts must find the same

os.environ["DCDNAS_CACHE"] = tempfile.mkdtemp(prefix="dcdnas-tests-")  # prices that no earlier run has left

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it, and so would all that tests start
