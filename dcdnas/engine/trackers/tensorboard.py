"""Writes TensorBoard event files, with a curve per trial and the search's progress, to ``tensorboard`` in the run's folder."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from dcdnas.core.trial import Trial
from dcdnas.engine.config import SearchConfig
from dcdnas.engine.trackers._base import Tracker

__all__ = ["TensorBoard"]


class TensorBoard(Tracker):
    """Writes event files, which ``tensorboard --logdir runs/RUN/tensorboard`` shows."""

    PACKAGE = "tensorboardX"

    def __init__(self, folder: Path, config: SearchConfig) -> None:
        super().__init__(folder, config)
        self._writer = import_module("tensorboardX").SummaryWriter
        self._place = folder / "tensorboard"
        self._whole = self._writer(str(self._place))

    def trial(self, trial: Trial) -> None:
        """Writes one point of the trial's curve to a separate file, so that thousands of trials keep no files open."""
        if trial.score is None:
            return
        suffix = f".epoch-{trial.score.epochs}"  # tensorboardX names files by the second, so names could collide
        with self._writer(str(self._place / f"trial-{trial.number}"), filename_suffix=suffix) as writer:
            for name, value in trial.score.values.items():
                writer.add_scalar(f"trial/{name}", value, trial.score.epochs)

    def search(self, ended: int, hypervolume: float, best: float | None) -> None:
        """Writes the hypervolume and the best value, as curves over the number of trainings that ended."""
        self._whole.add_scalar("search/hypervolume", hypervolume, ended)
        if best is not None:
            self._whole.add_scalar(f"search/best_{self.config.objectives[0].name}", best, ended)

    def close(self) -> None:
        """Writes the buffered events and closes the file."""
        self._whole.close()
