"""Chooses where trainings run: executor, processes, cores and GPUs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from dcdnas.core.trial import Ending
from dcdnas.core.units import counted
from dcdnas.engine.execution import Execution
from dcdnas.engine.executors import executors
from dcdnas.engine.planning.settings import SearchSettings
from dcdnas.engine.store import Store
from dcdnas.engine.trackers import trackers
from dcdnas.errors import UsageError


def chosen_execution(settings: SearchSettings) -> Execution:
    """Builds the execution from the settings; a GPU is used if there is one.

    Raises:
        MissingPackageError: for a tracker whose package is not installed.
        UsageError: for an unknown executor or tracker, an address that the executor cannot use, a number of GPUs that no training
            can have, or a GPU that torch does not find.
    """
    executor = executors[settings.executor]
    gpus = settings.gpus_per_trial if settings.gpus_per_trial is not None else float(torch.cuda.is_available())
    log = tuple(name.strip() for names in settings.log for name in names.split(","))
    for name in log:
        trackers[name].check()
    if settings.address and not executor.on_cluster:
        raise UsageError(
            f"--address {settings.address}: --executor {settings.executor} runs on this machine only, so it uses no Ray cluster. "
            "Leave out --address, or search with --executor ray."
        )
    if gpus > 1 and not gpus.is_integer():
        raise UsageError(
            f"--gpus-per-trial {gpus:g}: one training uses a share of a GPU or several whole ones. Allowed: up to 1, or a whole "
            "number."
        )
    if gpus and not executor.on_cluster and not torch.cuda.is_available():
        raise UsageError(f"--gpus-per-trial {gpus:g}: torch finds no GPU here. Leave it out to train on the CPU.")
    return Execution(
        executor=settings.executor, jobs=settings.jobs, gpus_per_trial=gpus, cpus_per_trial=settings.cpus_per_trial,
        address=settings.address, timeout=settings.timeout or math.inf, patience=settings.patience, log=log,
    )  # fmt: skip


def in_this_process(flags: Mapping[str, Any]) -> Execution:
    """Builds the execution of single trainings in this process, outside a search.

    Of the project's settings only the cores and the GPU of a training apply: there is no cluster and no tracker.

    Args:
        flags: the values given for ``cpus_per_trial`` and ``gpus_per_trial``; None for those of the project.

    Raises:
        UsageError: for an invalid setting, or a GPU that torch does not find.
    """
    said = SearchSettings.gather(flags)
    resources = {name: getattr(said, name) for name in ("cpus_per_trial", "gpus_per_trial")}
    return chosen_execution(SearchSettings(executor="inline", **resources))


def as_before(settings: SearchSettings, folder: Path) -> SearchSettings:
    """Takes executor, number of parallel trainings and patience of a run's last session where the settings do not state them.

    A sampler proposes by the results that are there, so with another number of trainings at a time a resumed search would
    propose other networks than the uninterrupted one. An executor that is not known here, such as a plugin's, is not taken, nor
    is a patience that has ended the search.
    """
    with closing(Store(folder)) as store:
        last = store.meta("execution") or {}
        over, _ = store.ending()
    found = {key: last[key] for key in ("executor", "jobs", "patience") if key in last and key not in settings.model_fields_set}
    if over is Ending.PLATEAU:
        found.pop("patience", None)
    if found.get("executor") not in executors:
        found.pop("executor", None)
    return settings.model_copy(update=found)


def at_one_time(execution: Execution) -> int:
    """Number of parallel trainings on this machine."""
    return 1 if executors[execution.executor].in_process else execution.workers


def machine_in_words(execution: Execution) -> str:
    """Describes where the trainings run."""
    workers, threads = counted(at_one_time(execution), "worker"), counted(execution.cpus_per_trial, "CPU thread")
    each = f"{workers} x {threads}"
    if execution.address:
        return f"the Ray cluster at {execution.address}"
    if not torch.cuda.is_available():
        return f"{each}, no GPU found"
    share = (
        f"{execution.gpus_per_trial:g} of {torch.cuda.device_count()} GPUs each" if execution.gpus_per_trial else "GPU not used"
    )
    return f"{each}, {share} ({torch.cuda.get_device_name()})"
