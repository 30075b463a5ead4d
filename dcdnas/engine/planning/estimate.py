"""How long a search will take, from one short training that is measured."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, replace

import torch

from dcdnas.core.geometry import Cost
from dcdnas.cost import ALWAYS
from dcdnas.data import Split, at_size
from dcdnas.engine.planning.machine import at_one_time
from dcdnas.engine.planning.plan import Plan
from dcdnas.networks import build_network
from dcdnas.space.pricing.cost import Priced, draws_within
from dcdnas.tasks.classification import images_of, trained_as
from dcdnas.training.loop import train

SHORT = 1024
"""Images that the measured training learns from; validation shrinks by the same factor."""

DRAWS = 21
"""Networks from which the middle one is measured."""


@dataclass(frozen=True)
class Estimate:
    """What one short training says about a search.

    Args:
        trial: seconds that a full training of the measured network takes.
        search: seconds of all trainings of the search.
        confirm: seconds of all confirming trainings.
        images: that the short training learned from.
        cost: of the network that was measured, by metric.
    """

    trial: float
    search: float
    confirm: float
    images: int
    cost: Cost


def estimated(plan: Plan) -> Estimate:
    """Trains one network from within the budget on a few images, and scales its time to the whole search.

    The network is the middle one, by cost, of a few random draws. Trainings that are stopped early make a search shorter; a
    search on a table has none, and of somebody's own training nothing is known.
    """
    network = _middle(plan)
    if plan.config.table or plan.config.task.own:
        return Estimate(0.0, 0.0, 0.0, 0, network.cost)
    images = images_of(plan.config.task)
    share = min(1.0, SHORT / len(images.train))
    some = Split(*(part.take(torch.arange(max(2, round(share * len(part))))) for part in images))
    seconds = _measured(plan, network, some) * len(images.train) / len(some.train)
    config = plan.config
    trial = seconds * config.task.epochs
    rounds, again = (
        math.ceil(n / at_one_time(plan.execution)) for n in (config.trials, config.confirm * (config.confirm_top + 1))
    )
    return Estimate(trial, rounds * trial, again * trial, len(some.train), network.cost)


def _middle(plan: Plan) -> Priced:
    draws = draws_within(plan.space, plan.config.budgets, random.Random(0), also=plan.config.minimize)
    metric = next(iter(plan.config.minimize), ALWAYS[0])
    drawn = sorted((p for _, p in zip(range(DRAWS), draws, strict=False)), key=lambda p: p.cost[metric])
    return drawn[len(drawn) // 2]


def _measured(plan: Plan, found: Priced, images: Split) -> float:
    """Seconds of one epoch, with the threads that a training of the search has."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, int(plan.execution.cpus_per_trial)))
    try:
        trained = trained_as(found.architecture, images.train, plan.config.task)
        network = build_network(trained)
        images = Split(*(at_size(part, *trained.input[1:]) for part in images))
        since = time.monotonic()
        train(network, images, replace(plan.config.task, epochs=1, first_rung=0), device=plan.execution.device)
        return time.monotonic() - since
    finally:
        torch.set_num_threads(before)
