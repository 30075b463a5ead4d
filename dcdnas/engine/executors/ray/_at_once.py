"""Runs trainings as trials of Ray Tune and follows them by the files that they write into their folders."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ray import tune
from ray.exceptions import RayError

from dcdnas.core.files import write_whole
from dcdnas.core.plugins import loaded, offer
from dcdnas.data import split
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors.ray._cluster import cluster, followed, logged, own_handlers
from dcdnas.engine.job import described
from dcdnas.errors import DcdnasError, Resumable, TrainingError
from dcdnas.training.folder import EPOCHS, Row, TrainingFolder, rows_in
from dcdnas.training.full import VALIDATION, Watcher, fitted, images_for, train_kept

if TYPE_CHECKING:
    from dcdnas.engine.executors.ray.at_once import Trial

STOP, FAILED, RAY = "stop", "failed.txt", ".ray"
"""File names: in a training's folder, the request to stop and the reason why it cannot continue; beside the log, Ray's folder."""

RESTARTS = 3
"""Number of times that a training is restarted after its worker died."""


def run_trials(
    trials: Sequence[Trial],
    jobs: int,
    log: Path,
    said: Callable[[Trial, Sequence[Row]], None],
    stopping: Callable[[], bool],
    address: str,
) -> None:
    """See `dcdnas.engine.executors.ray.at_once.train_at_once`."""
    _clear(trials)
    epochs = [len(rows_in(trial.place.path / EPOCHS)) for trial in trials]

    def look() -> None:
        for number, trial in enumerate(trials):
            rows = rows_in(trial.place.path / EPOCHS)
            if len(rows) > epochs[number]:
                epochs[number] = len(rows)
                said(trial, rows)
            if stopping():
                (trial.place.path / STOP).touch()

    own = log.parent / RAY
    try:
        with logged(log), cluster(Execution(jobs=jobs, address=address)), own_handlers():
            error = followed(_tuner(trials, jobs, own).fit, look)
        stopped = stopping() and any(len(rows_in(t.place.path / EPOCHS)) < t.task.epochs for t in trials)
        failed = [f"{t.name} seed {t.task.seed}: {(t.place.path / FAILED).read_text('utf-8')}" for t in trials if _has(t, FAILED)]
    finally:
        _clear(trials)
        shutil.rmtree(own, ignore_errors=True)
    if error and not isinstance(error, RayError | RuntimeError):
        raise error
    if error:
        raise TrainingError(
            f"Ray Tune gave up: {described(error)}. What was saved is in {log.parent}; continue it with --resume."
        )
    if failed:
        others = "; continue the others with --resume" if len(failed) < len(trials) else ""
        raise TrainingError(f"{len(failed)} of {len(trials)} trainings could not continue{others}. {' '.join(failed)}")
    if stopped:
        raise Resumable(f"stopped; all trainings are saved in {log.parent}. Continue them with the same command and --resume.")


def _tuner(trials: Sequence[Trial], jobs: int, own: Path) -> tune.Tuner:
    described_to_all = [
        (trial.found, trial.task, trial.place.path.absolute(), dict(trial.place.about), trial.device, trial.start)
        for trial in trials
    ]
    resources: dict[str, float] = {"cpu": 1, "gpu": 1} if trials[0].device == "cuda" else {"cpu": 1}
    function = tune.with_parameters(train_one, trainings=described_to_all, plugins=loaded())
    return tune.Tuner(
        tune.with_resources(function, resources),
        param_space={"number": tune.grid_search([*range(len(trials))])},
        tune_config=tune.TuneConfig(max_concurrent_trials=jobs),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(own.absolute()),
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=RESTARTS),
        ),
    )


class Asked(Watcher):
    """Stops a training once a file exists."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def stopping(self) -> bool:
        """See `Watcher.stopping`."""
        return self.file.exists()


def train_one(config: dict[str, Any], trainings: Sequence[Any], plugins: Any) -> None:
    """Runs one trial in a worker; a training that has finished is not repeated."""
    offer(plugins)
    found, task, path, about, device, start = trainings[config["number"]]
    torch.set_num_threads(1)
    place = TrainingFolder(path, about)
    try:
        images = split(images_for(found, task), VALIDATION)
        train_kept(fitted(found, images.train), images, task, place, Asked(path / STOP), device, start)
    except Resumable:
        pass
    except DcdnasError as error:
        write_whole(path / FAILED, str(error))
    tune.report({"epochs": len(place.rows)})  # Tune prints a message about a trial that reports nothing


def _has(trial: Trial, name: str) -> bool:
    return (trial.place.path / name).exists()


def _clear(trials: Sequence[Trial]) -> None:
    for trial in trials:
        for name in (STOP, FAILED):
            (trial.place.path / name).unlink(missing_ok=True)
