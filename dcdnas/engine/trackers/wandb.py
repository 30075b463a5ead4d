"""Logs to Weights & Biases: one run per search, one point per epoch; needs the package ``wandb`` and a login or offline mode."""

from __future__ import annotations

from contextlib import closing
from importlib import import_module
from pathlib import Path

from dcdnas.core.trial import Trial
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.store import Store
from dcdnas.engine.trackers._base import Tracker

__all__ = ["WeightsAndBiases"]


class WeightsAndBiases(Tracker):
    """Logs into the project ``dcdnas``; a resumed search continues the same run."""

    PACKAGE = "wandb"

    def __init__(self, folder: Path, config: SearchConfig) -> None:
        super().__init__(folder, config)
        wandb = import_module("wandb")
        self._run = wandb.init(
            project="dcdnas", name=folder.name, id=_id_of(folder), resume="allow", dir=str(folder), config=config.to_dict()
        )

    def trial(self, trial: Trial) -> None:
        """Logs one point: trial number, epoch, the objectives' values and the costs."""
        if trial.score is not None:
            score = {"epoch": trial.score.epochs, **trial.score.values}
            costs = {f"trial/{name}": value for name, value in trial.cost.values.items()}
            self._run.log({"trial/number": trial.number, **{f"trial/{k}": v for k, v in score.items()}, **costs})

    def search(self, ended: int, hypervolume: float, best: float | None) -> None:
        """Logs the hypervolume and the best value of the primary objective."""
        self._run.log(
            {"search/ended": ended, "search/hypervolume": hypervolume, f"search/best_{self.config.objectives[0].name}": best}
        )

    def close(self) -> None:
        """Ends the Weights & Biases run."""
        self._run.finish()


def _id_of(folder: Path) -> str:
    """The run's name and the time at which it was created, because searches in other folders have runs of the same name."""
    with closing(Store(folder)) as store:
        created = store.meta("created") or 0.0
    return f"{folder.name}-{int(1000 * created):x}"
