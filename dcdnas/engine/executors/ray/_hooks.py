"""Tune's searcher, scheduler and stopper, which only pass its questions on to the bridge."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from dcdnas.engine.executors.ray._bridge import Bridge


class LoopSearcher(Searcher):
    """Tune's searcher: asks the loop."""

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
        """Writes nothing: the run's store is the memory."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Reads nothing, likewise."""


class LoopScheduler(FIFOScheduler):
    """Tune's scheduler: asks the loop whether a training goes on."""

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
        """See `Bridge.died`. Tune has written the error beside its own files, and hands it to nobody."""
        with suppress(OSError, TypeError):
            self.bridge.died(trial.trial_id, Path(trial.error_file).read_text(encoding="utf-8", errors="replace"))


class LoopStopper(Stopper):
    """Tune's stopper: ends everything when the loop must end."""

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Single trainings are the scheduler's."""
        return False

    def stop_all(self) -> bool:
        """See `Bridge.over`."""
        return self.bridge.over
