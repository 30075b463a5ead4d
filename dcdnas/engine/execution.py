"""Settings of how trainings are executed; they do not change which search it is."""

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
"""The executor that looks results up in a benchmark table; only it can run a search on a table."""


@dataclass(frozen=True)
class Execution:
    """Settings of the execution: where trainings run and how many run in parallel.

    Args:
        executor: name in `dcdnas.engine.executors`.
        jobs: number of parallel trainings; 0 for as many as the machine's cores or GPUs allow.
        gpus_per_trial: share of a GPU that a training gets; 0 trains on the CPU.
        cpus_per_trial: cores that a training gets.
        address: address of a Ray cluster; empty starts one on this machine.
        timeout: seconds after which the search ends as if it had been stopped; infinity for never.
        patience: number of trainings without a change of the front after which the search ends; 0 for no limit.
        train: function that a worker runs; None for the proxy training.
        plugins: plugins with entries from outside the package, which workers have to load.
        task: task object passed from Python; None for the task that the run names.
        weights: local folder that receives the weights of finished trainings; None to save no weights.
        log: trackers of `dcdnas.engine.trackers` that are notified of the events.
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
        """The training function that a worker runs."""
        threads = max(1, int(self.cpus_per_trial))
        return self.train or ProxyTraining(self.device, threads, self.plugins, self.weights, self.task)

    def check_task(self, recipe: TrainingTask) -> None:
        """Checks that a user-defined task can be opened, because a missing one would otherwise only fail in the workers.

        Raises:
            RunError: when the run's task was passed from Python and is not passed now.
        """
        if recipe.own:
            open_task(recipe, self.task)

    @property
    def device(self) -> str:
        """Device type of the trainings: ``cuda`` or ``cpu``."""
        return "cuda" if self.gpus_per_trial else "cpu"

    @property
    def workers(self) -> int:
        """Number of parallel trainings on this machine: `jobs`, or as many as its cores and GPUs allow where that is 0."""
        if self.jobs:
            return self.jobs
        by_cores = int((os.cpu_count() or 1) / max(self.cpus_per_trial, 1e-9))
        by_gpus = fitting(torch.cuda.device_count(), self.gpus_per_trial) if self.gpus_per_trial else by_cores
        return max(1, min(by_cores, by_gpus))

    def gpus_of(self, worker: int) -> str:
        """The value of CUDA_VISIBLE_DEVICES with which a worker process on this machine has GPUs or a share of one to itself.

        It is empty where there is nothing to choose from.

        Args:
            worker: number of the worker, from 0.
        """
        count = torch.cuda.device_count() if self.gpus_per_trial else 0
        if count < 2:
            return ""
        names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        names = names[:count] if len(names) >= count else [str(gpu) for gpu in range(count)]
        each = min(count, math.ceil(self.gpus_per_trial))
        return ",".join(names[(worker * each + gpu) % count].strip() for gpu in range(each))


def fitting(gpus: float, each: float) -> int:
    """Number of trainings that fit on a machine's GPUs at a time, where each needs `each` GPUs or a share of a single one."""
    return int(gpus / each + 1e-9) if each >= 1 else int(gpus + 1e-9) * int(1 / each + 1e-9)
