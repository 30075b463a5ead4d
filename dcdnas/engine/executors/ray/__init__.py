"""Ray Tune, on this machine or a cluster: shares of GPUs, and as many machines as there are.

Tune asks the searcher for a configuration and the scheduler whether to go on; both only pass the question to the loop. Tune's
own search, stopping and restoring are not used: they tell a stopped training as complete, forget half a run after a crash and
stop small networks first.
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
"""How Ray and Tune behave here, where the person has not said otherwise; they read it when they are imported."""


class Ray(Executor):
    """Trains in Ray's workers; Ray schedules them, the loop decides."""

    on_cluster = True

    def run(self, loop: SearchLoop) -> None:
        """See `Executor.run`.

        Raises:
            UsageError: when Ray cannot be imported or started, or has not what one training needs.
            Resumable: when Tune crashes time and again.
        """
        set_environment()
        try:
            from dcdnas.engine.executors.ray._tune import run_tune  # takes seconds: only those who use Ray wait
        except ImportError as error:
            raise UsageError(f"Ray cannot be imported: {described(error)}. `--executor local` searches without Ray.") from None
        run_tune(loop, self.execution, self.folder / "ray", self.log)


def set_environment() -> None:
    """Prepares this process for importing Ray."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
