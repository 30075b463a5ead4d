"""The deadline of a training, kept inside its worker process."""

from __future__ import annotations

from contextlib import AbstractContextManager

from dcdnas.engine.job import Job
from dcdnas.training.watchdog import watchdog

GRACE = 15.0
"""Seconds after its deadline in which a training may end by itself, before its process is ended from inside."""


def until_deadline(job: Job) -> AbstractContextManager[None]:
    """Ends this process when the block is still running some time after the job's deadline."""
    return watchdog(job.task.deadline + GRACE if job.task.deadline else 0)
