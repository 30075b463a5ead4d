"""MLflow: one run a search with a curve a trial; needs the package ``mlflow`` and writes where MLFLOW_TRACKING_URI says."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from dcdnas.core.trial import Trial
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.trackers._base import Tracker

__all__ = ["MLflow"]


class MLflow(Tracker):
    """Logs into the experiment ``dcdnas``."""

    PACKAGE = "mlflow"

    def __init__(self, folder: Path, config: SearchConfig) -> None:
        super().__init__(folder, config)
        self._mlflow = import_module("mlflow")
        self._mlflow.set_experiment("dcdnas")
        self._mlflow.start_run(run_name=folder.name)
        self._mlflow.log_params({"sampler": config.sampler, "seed": config.seed, "budgets": ", ".join(map(str, config.budgets))})

    def trial(self, trial: Trial) -> None:
        """One point of the trial's curve."""
        if trial.score is not None:
            name = self.config.objectives[0].name
            self._mlflow.log_metric(f"trial_{trial.number}_{name}", trial.score.values[name], step=trial.score.epochs)

    def search(self, ended: int, hypervolume: float, best: float | None) -> None:
        """How the search stands."""
        self._mlflow.log_metric("hypervolume", hypervolume, step=ended)
        if best is not None:
            self._mlflow.log_metric(f"best_{self.config.objectives[0].name}", best, step=ended)

    def close(self) -> None:
        """Ends the run on their side."""
        self._mlflow.end_run()
