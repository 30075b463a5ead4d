"""How trainings are run; changes nothing about what a search is."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import torch

from dcdnas.core.plugins import Plugin
from dcdnas.core.task import TrainingTask
from dcdnas.engine.proxy_training import ProxyTraining, Train
from dcdnas.tasks import Task, open_task

TABULAR = "tabular"
"""The executor that looks results up; a search on a table can be run by no other."""


@dataclass(frozen=True)
class Execution:
    """Where and how many at one time.

    Args:
        executor: which of `dcdnas.engine.executors` runs them.
        jobs: trainings at one time; 0 for as many as the machine's cores or GPUs allow.
        gpus_per_trial: share of a GPU that a training gets; 0 trains on the CPU.
        cpus_per_trial: cores that a training gets.
        address: of a Ray cluster; empty starts one on this machine.
        timeout: seconds after which the search ends as if asked to; infinity for never.
        patience: trainings that may leave the front as it was before the search ends; 0 for any number.
        train: what a worker runs; None for the proxy training.
        plugins: files with entries from outside the package, which workers have to know.
        task: that was given in Python; None for the one that the run names.
        weights: folder of this machine that takes the weights of trainings that finished; None for nowhere.
        log: trackers that are told what happens, of `dcdnas.engine.trackers`.
    """

    executor: str = "ray"
    jobs: int = 0
    gpus_per_trial: float = 0.0
    cpus_per_trial: float = 1.0
    address: str = ""
    timeout: float = math.inf
    patience: int = 0
    train: Train | None = None
    log: tuple[str, ...] = ()
    plugins: tuple[Plugin, ...] = ()
    weights: Path | None = None
    task: Task | None = None

    def training(self) -> Train:
        """What a worker runs."""
        threads = max(1, int(self.cpus_per_trial))
        return self.train or ProxyTraining(self.device, threads, self.plugins, self.weights, self.task)

    def check_task(self, recipe: TrainingTask) -> None:
        """Opens a task of somebody's own, which says when it is not there; the driver needs none, only its workers do.

        Raises:
            RunError: when it was given in Python, and is not now.
        """
        if recipe.own:
            open_task(recipe, self.task)

    @property
    def device(self) -> str:
        """What a training runs on: ``cuda`` or ``cpu``."""
        return "cuda" if self.gpus_per_trial else "cpu"

    @property
    def workers(self) -> int:
        """Trainings at one time on this machine: as many as its cores and GPUs allow, where nothing was said."""
        if self.jobs:
            return self.jobs
        by_cores = int((os.cpu_count() or 1) / max(self.cpus_per_trial, 1e-9))
        by_gpus = int(torch.cuda.device_count() / self.gpus_per_trial) if self.gpus_per_trial else by_cores
        return max(1, min(by_cores, by_gpus))
