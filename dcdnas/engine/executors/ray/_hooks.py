"""Searcher, scheduler, callback and stopper for Ray Tune, which only pass Tune's questions on to the bridge."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from dcdnas.engine.executors.ray._bridge import Bridge


class LoopSearcher(Searcher):
    """Searcher for Tune that asks the loop."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.bridge = bridge

    def suggest(self, trial_id: str) -> Any:
        """See `Bridge.suggest`."""
        return self.bridge.suggest(trial_id)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """See `Bridge.end`."""
        self.bridge.end(trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Writes an empty file, because the state is in the run's store."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing, because the state is in the run's store."""


class LoopScheduler(FIFOScheduler):
    """Scheduler for Tune that asks the loop whether a training continues."""

    def __init__(self, bridge: Bridge) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bridge = bridge

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """See `Bridge.added`."""
        search = tune_controller.search_alg
        self.bridge.added(trial.trial_id, trial.is_finished, lambda: search.on_trial_complete(trial.trial_id, error=True))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """See `Bridge.report`."""
        go_on = self.bridge.report(trial.trial_id, result)
        return str(TrialScheduler.CONTINUE if go_on else TrialScheduler.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """See `Bridge.died`. The error is read from Tune's error file, because Tune does not pass it on."""
        with suppress(OSError, TypeError):
            self.bridge.died(trial.trial_id, Path(trial.error_file).read_text(encoding="utf-8", errors="replace"))


class LoopCallback(Callback):
    """Callback for Tune that notes when a worker begins a training."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """See `Bridge.begun`."""
        self.bridge.begun(trial.trial_id)


class LoopStopper(Stopper):
    """Stopper for Tune that ends all trainings when the loop must end."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Stops no single training, because that is the scheduler's task."""
        return False

    def stop_all(self) -> bool:
        """See `Bridge.over`."""
        return self.bridge.over
