"""Logs to MLflow: one run per session of a search, with a curve per trial; needs the package ``mlflow``.

It logs to the server or folder that the environment variable MLFLOW_TRACKING_URI names.
"""

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
        """Logs one point of the trial's curve of each objective."""
        if trial.score is not None:
            for name, value in trial.score.values.items():
                self._mlflow.log_metric(f"trial_{trial.number}_{name}", value, step=trial.score.epochs)

    def search(self, ended: int, hypervolume: float, best: float | None) -> None:
        """Logs the hypervolume and the best value of the primary objective."""
        self._mlflow.log_metric("hypervolume", hypervolume, step=ended)
        if best is not None:
            self._mlflow.log_metric(f"best_{self.config.objectives[0].name}", best, step=ended)

    def close(self) -> None:
        """Ends the MLflow run."""
        self._mlflow.end_run()
