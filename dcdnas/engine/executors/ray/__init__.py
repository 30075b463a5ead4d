"""Runs trainings with Ray Tune on this machine or a cluster of machines, on CPUs, GPUs or shares of a GPU.

Tune asks the searcher for a configuration and the scheduler whether a training continues; both only pass the question on to the
loop. Tune's own search, early stopping and restoring are not used, because they report a stopped training as complete, stop small
networks first, and lose half a run after a crash.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dcdnas.engine.executors._base import Executor
from dcdnas.engine.job import described
from dcdnas.errors import UsageError

if TYPE_CHECKING:
    from dcdnas.engine.loop import SearchLoop

__all__ = ["Ray"]

ENVIRONMENT = {
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}
"""Environment variables with which Ray and Tune are imported, unless the user has set them."""


class Ray(Executor):
    """Trains in Ray's workers: Ray schedules them, and the loop decides what they train."""

    on_cluster = True

    def run(self, loop: SearchLoop) -> None:
        """See `Executor.run`.

        Raises:
            UsageError: when Ray cannot be imported or started, or has too few resources for one training.
        """
        set_environment()
        try:
            from dcdnas.engine.executors.ray._tune import run_tune  # takes seconds, so it is imported only when Ray is used
        except ImportError as error:
            raise UsageError(f"Ray cannot be imported: {described(error)}. `--executor local` searches without Ray.") from None
        run_tune(loop, self.execution, self.folder / "ray", self.log)


def set_environment() -> None:
    """Sets the `ENVIRONMENT` of this process, before Ray is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
