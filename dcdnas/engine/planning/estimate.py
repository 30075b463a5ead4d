"""How long a search will take, from one short training that is measured."""

from __future__ import annotations

import math
import random
import statistics
import time
from dataclasses import dataclass, replace

import torch

from dcdnas.core.geometry import Cost
from dcdnas.core.task import TrainingTask
from dcdnas.cost import ALWAYS
from dcdnas.data import Split, at_size
from dcdnas.engine.planning.machine import at_one_time
from dcdnas.engine.planning.plan import Plan
from dcdnas.networks import build_network
from dcdnas.space.pricing.cost import Priced, draws_within
from dcdnas.tasks.classification import images_of, trained_as
from dcdnas.training.loop import Training, seeded, steps_per_epoch

SECONDS = 3.0
"""After which no further step is measured."""

STEPS = 8
"""For which images are read."""

READ = 256
"""Validation images whose reading is measured."""

DRAWS = 21
"""Networks from which the middle one is measured."""


@dataclass(frozen=True)
class Estimate:
    """What one short training says about a search.

    Args:
        trial: seconds that a full training of the measured network takes.
        search: seconds of all trainings of the search.
        confirm: seconds of all confirming trainings.
        images: that the measured steps learned from.
        cost: of the network that was measured, by metric.
    """

    trial: float
    search: float
    confirm: float
    images: int
    cost: Cost


def estimated(plan: Plan) -> Estimate:
    """Trains one network from within the budget for a few steps, reads it, and scales both times to the whole search.

    The network is the middle one, by cost, of a few random draws. Trainings that are stopped early make a search shorter; a
    search on a table has none, and of somebody's own training nothing is known.
    """
    network = _middle(plan)
    if plan.config.table or plan.config.task.own:
        return Estimate(0.0, 0.0, 0.0, 0, network.cost)
    seconds, seen = _epoch(plan, network)
    config = plan.config
    trial, confirming = seconds * config.task.epochs, seconds * config.task.stages[-1].epochs
    rounds, again = (
        math.ceil(n / at_one_time(plan.execution)) for n in (config.trials, config.confirm * (config.confirm_top + 1))
    )
    return Estimate(trial, rounds * trial, again * confirming, seen, network.cost)


def _middle(plan: Plan) -> Priced:
    draws = draws_within(plan.space, plan.config.budgets, random.Random(0), also=plan.config.minimize)
    metric = next(iter(plan.config.minimize), ALWAYS[0])
    drawn = sorted((p for _, p in zip(range(DRAWS), draws, strict=False)), key=lambda p: p.cost[metric])
    return drawn[len(drawn) // 2]


def _epoch(plan: Plan, found: Priced) -> tuple[float, int]:
    """Seconds of one epoch, with the threads that a training of the search has; and how many images were learned from for it."""
    task, device, before = plan.config.task, torch.device(plan.execution.device), torch.get_num_threads()
    torch.set_num_threads(max(1, int(plan.execution.cpus_per_trial)))
    try:
        all_images = images_of(task)
        enough = STEPS * task.batch_size, READ
        images = Split(*(part.take(torch.arange(min(n, len(part)))) for part, n in zip(all_images, enough, strict=True)))
        trained = trained_as(found.architecture, images.train, task)
        images = Split(*(at_size(part, *trained.input[1:]) for part in images))
        brief = replace(task, epochs=1, scan=0, norm_batches=min(1, task.norm_batches))
        with seeded(task.seed, device) as generator:
            training = Training(build_network(trained), images, brief, generator, device)
            step = _step(training)
            since = _now(device)
            training.read()
            reading = (_now(device) - since) / _images_read(brief, images)
    finally:
        torch.set_num_threads(before)
    steps = steps_per_epoch(len(all_images.train), task)
    return steps * step + _images_read(task, all_images) * reading, training.step * min(task.batch_size, len(images.train))


def _step(training: Training) -> float:
    """Mean seconds of a step; the first one pays for what happens once, and counts only where it is the only one."""
    times, since, steps = list[float](), _now(training.device), training.steps()
    for _ in steps:
        times.append(_now(training.device) - since - sum(times))
        if sum(times) >= SECONDS:
            break
    steps.close()
    return statistics.fmean(times[1:] or times)


def _images_read(task: TrainingTask, images: Split) -> int:
    """Images that one reading takes: for the statistics of BatchNorms, and to judge on."""
    return task.norm_batches * min(task.batch_size, len(images.train)) + len(images.validation)


def _now(device: torch.device) -> float:
    """Seconds, when all that the device was given to do is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.monotonic()
