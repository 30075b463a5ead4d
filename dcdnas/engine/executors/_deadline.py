"""Enforces the deadline of a training from inside its worker process."""

from __future__ import annotations

from contextlib import AbstractContextManager

from dcdnas.engine.job import Job
from dcdnas.training.watchdog import watchdog

GRACE = 15.0
"""Seconds after its deadline in which a training may still end by itself, before its process terminates itself."""


def until_deadline(job: Job) -> AbstractContextManager[None]:
    """Terminates this process when the block is still running `GRACE` seconds after the job's deadline."""
    return watchdog(job.task.deadline + GRACE if job.task.deadline else 0)
