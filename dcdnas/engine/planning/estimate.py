"""Estimates how long a search will take from a short measured training."""

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
from dcdnas.space.pricing.cost import Priced, draws_within, smallest
from dcdnas.tasks.classification import images_of, trained_as
from dcdnas.training.loop import Training, seeded, steps_per_epoch

SECONDS = 3.0
"""Time after which no further step is measured."""

STEPS = 8
"""Upper bound on the number of measured steps, because images for more are not loaded."""

READ = 256
"""Upper bound on the number of validation images on which the network is evaluated."""

DRAWS = 21
"""Number of random networks of which the one with the median cost is measured."""


@dataclass(frozen=True)
class Estimate:
    """Estimated times of a search.

    Args:
        trial: seconds of a full training of the measured network.
        search: seconds of all trainings of the search.
        confirm: seconds of all confirming trainings.
        images: number of images in the measured steps.
        cost: cost of the measured network, by metric.
    """

    trial: float
    search: float
    confirm: float
    images: int
    cost: Cost


def estimated(plan: Plan) -> Estimate:
    """Trains one network within the budget for a few steps, evaluates it, and scales both times to the whole search.

    The network is the one with the median cost among a few random draws; if random draws are never within the budget, it is the
    cheapest one. Early stopping makes a search shorter than estimated. The times are 0 for a search on a table, which trains
    nothing, and for a user's own task, of which nothing is known.
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
    if not drawn:  # random networks are never within the budget; the cheapest one is, else there would be no plan
        return smallest(plan.space, plan.config.budgets[0].metric)
    return drawn[len(drawn) // 2]


def _epoch(plan: Plan, found: Priced) -> tuple[float, int]:
    """Measures the seconds of one epoch, with as many threads as in the search; also returns the number of images trained on."""
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
    """Mean seconds of a step; the first step includes one-time costs and counts only if it is the only one."""
    times, since, steps = list[float](), _now(training.device), training.steps()
    for _ in steps:
        times.append(_now(training.device) - since - sum(times))
        if sum(times) >= SECONDS:
            break
    steps.close()
    return statistics.fmean(times[1:] or times)


def _images_read(task: TrainingTask, images: Split) -> int:
    """Number of images that one reading needs: for re-estimating BatchNorm statistics, and for the validation."""
    return task.norm_batches * min(task.batch_size, len(images.train)) + len(images.validation)


def _now(device: torch.device) -> float:
    """Current time in seconds, after all queued work of the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.monotonic()
