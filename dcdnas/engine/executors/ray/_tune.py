"""Runs Ray Tune until the loop has no more trainings, and restarts it when it crashes."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.exceptions import RayError
from ray.tune.error import TuneError

from dcdnas.core.trial import Ending
from dcdnas.engine.execution import Execution, fitting
from dcdnas.engine.executors.ray._bridge import Bridge
from dcdnas.engine.executors.ray._cluster import cluster, followed, logged, own_handlers
from dcdnas.engine.executors.ray._head import Head, HeadLostError
from dcdnas.engine.executors.ray._hooks import LoopCallback, LoopScheduler, LoopSearcher, LoopStopper
from dcdnas.engine.executors.ray._worker import trainable
from dcdnas.engine.job import described
from dcdnas.engine.loop import SearchLoop
from dcdnas.errors import UsageError
from dcdnas.tasks.classification import images_of

COUNTED_EVERY = 2.0
"""Seconds between two counts of the cluster's resources."""

RESTARTS = 3
"""Number of consecutive crashes of Tune, with no running training that could be the cause, before the search gives up."""


def run_tune(loop: SearchLoop, execution: Execution, folder: Path, log: Path) -> None:
    """Runs the trainings under Ray Tune until the loop has no more.

    Tune's driver crashes when Ray kills a worker for lack of memory; the running trainings are then repeated under a new Tune
    run. A network that is lost in this way repeatedly counts as failed. When Tune crashes repeatedly with nothing running, the
    search ends. It also ends when the head of the cluster is gone; Tune is then abandoned, because it never returns.

    Args:
        loop: hands out the trainings.
        execution: resources of a training, and the address of the cluster.
        folder: folder for Tune's own files, which are disposable.
        log: file to which Ray's messages are written.

    Raises:
        UsageError: when Ray cannot be started, or the machine or cluster has too few resources for one training.
    """
    crashes = 0
    while True:
        room = Room(execution)
        bridge = Bridge(loop, room)
        try:
            with logged(log), cluster(execution):
                room.check()
                crash = followed(partial(fit, bridge, execution, folder), Head().check)
            if crash:
                raise crash
        except HeadLostError as error:
            bridge.close()
            loop.interrupt(Ending.EXECUTOR_CRASHED, str(error))
            return
        except (RuntimeError, TuneError, RayError) as error:
            if not bridge.error:
                crashes = 0 if loop.running else crashes + 1
                if crashes > RESTARTS:
                    loop.interrupt(Ending.EXECUTOR_CRASHED, f"Ray crashed {crashes} times, at last with: {described(error)}")
                    return
                loop.requeue(f"Ray crashed while it was training: {described(error)}")
                continue
        if bridge.error:
            raise bridge.error
        if loop.running:
            loop.interrupt()
        return


def fit(bridge: Bridge, execution: Execution, folder: Path) -> None:
    """Runs Tune once, until the loop has no more trainings or all must end."""
    task = bridge.loop.config.task
    images = None if execution.train or task.own else images_of(task)
    resources = {"cpu": execution.cpus_per_trial, **({"gpu": execution.gpus_per_trial} if execution.gpus_per_trial else {})}
    function = tune.with_parameters(trainable, train=execution.training(), images=images)
    session = f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    tuner = tune.Tuner(
        tune.with_resources(function, resources),
        tune_config=tune.TuneConfig(
            search_alg=LoopSearcher(bridge),
            scheduler=LoopScheduler(bridge),
            num_samples=-1,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=session,
            storage_path=str(folder.absolute()),
            stop=LoopStopper(bridge),
            callbacks=[LoopCallback(bridge)],
            verbose=0,
            failure_config=tune.FailureConfig(max_failures=0),
        ),
    )
    try:
        with own_handlers():
            tuner.fit()
    finally:
        shutil.rmtree(folder / session, ignore_errors=True)


class Room:
    """Counts how many parallel trainings fit into the cluster, which machines may join and leave.

    Args:
        execution: resources of a training, and the largest number of parallel trainings.
    """

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._counted, self._fits = -math.inf, 0

    def __call__(self) -> int:
        """Number of parallel trainings that fit into the machines currently in the cluster, at most `jobs`."""
        if time.monotonic() > self._counted + COUNTED_EVERY:
            self._fits, self._counted = self._count(), time.monotonic()
        return min(self._fits, self.execution.jobs) if self.execution.jobs else self._fits

    def check(self) -> None:
        """Raises UsageError when no training fits into a machine of the cluster."""
        if self() >= 1:
            return
        each, machines = self.execution, _machines()
        have = {name: sum(machine.get(name, 0.0) for machine in machines) for name in ("CPU", "GPU")}
        why = f"but Ray has {have['CPU']:g} and {have['GPU']:g}"
        if have["CPU"] >= each.cpus_per_trial and have["GPU"] >= each.gpus_per_trial:
            largest = max((machine.get("CPU", 0.0), machine.get("GPU", 0.0)) for machine in machines)
            why = f"which no machine of the Ray cluster has alone: the largest has {largest[0]:g} and {largest[1]:g}"
        raise UsageError(
            f"one training needs {each.cpus_per_trial:g} CPUs and {each.gpus_per_trial:g} GPUs, {why}. Lower "
            "`--gpus-per-trial` or `--cpus-per-trial`."
        )

    def _count(self) -> int:
        return sum(_room_on(machine, self.execution) for machine in _machines())


def _room_on(machine: Mapping[str, float], each: Execution) -> int:
    """Number of trainings that fit into a machine at a time, given its resources, because a training runs on one machine."""
    fits = [int(machine.get("CPU", 0.0) / each.cpus_per_trial + 1e-9)]
    if each.gpus_per_trial:
        fits.append(fitting(machine.get("GPU", 0.0), each.gpus_per_trial))
    return min(fits)


def _machines() -> list[Mapping[str, float]]:
    """The resources of each machine that is currently in the cluster."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node["Resources"] for node in nodes if node["Alive"]]
