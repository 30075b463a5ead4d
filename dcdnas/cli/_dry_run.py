"""`dcdnas search --dry-run`: the size of what would be searched, and its time from one short training that is measured."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from dcdnas.budget import quantity
from dcdnas.cli._output import Output
from dcdnas.data import Split
from dcdnas.engine.worker import images_of
from dcdnas.networks import build_network, for_proxy
from dcdnas.planning import Plan
from dcdnas.space_cost import Share, draws_within, largest, share_within, smallest
from dcdnas.training import train
from dcdnas.words import roughly

SHORT = 1024
"""Images that the measured training learns from; validation shrinks by the same factor."""


@dataclass(frozen=True)
class Pace:
    """What one short training says about the whole.

    Args:
        trial: seconds that a full trial of that network takes.
        images: that it was measured on.
        flops: of the network that was measured.
    """

    trial: float
    images: int
    flops: float


def describe(out: Output, plan: Plan) -> None:
    """Prints size, costs, share within the budget, data, machine and time; starts no search."""
    space, config = plan.space, plan.config
    metrics = tuple(dict.fromkeys([*config.minimize, *(b.metric for b in config.budgets)]))
    ranges = {m: (smallest(space, m).cost[m], largest(space, m).cost[m]) for m in metrics}
    spans = ", ".join(f"{quantity(m, low)} to {quantity(m, high)}" for m, (low, high) in ranges.items())
    share = share_within(space, config.budgets)
    out.show(f"Space      {space.name}: {scientific(space.size)} networks, {spans}")
    out.show(f"Budget     {_budget(plan, share)}")
    out.show(f"Data       {plan.data}")
    for note in plan.notes:
        out.show(f"           {note}")
    out.show(f"Machine    {plan.machine}")
    out.detail("training one network briefly, to measure its time")
    pace = measured(plan)
    searching, confirming = times(plan, pace)
    out.show(
        f"Time       {roughly(searching)} for {config.trials} trials, {roughly(confirming)} more to confirm "
        f"(measured on one short training)"
    )
    out.show(f"Run        {plan.folder}")
    out.show("Nothing was searched (--dry-run).")
    out.document(
        {
            "space": space.name, "networks": str(space.size), "ranges": ranges, "budgets": [str(b) for b in config.budgets],
            "share": share.value, "share_interval": share.interval, "share_draws": share.draws, "data": plan.data,
            "notes": plan.notes, "machine": plan.machine, "folder": plan.folder, "trials": config.trials,
            "seconds_a_trial": pace.trial, "seconds": searching, "seconds_to_confirm": confirming,
            "measured": _measured(pace),
        }
    )  # fmt: skip


def measured(plan: Plan) -> Pace:
    """Trains one network from within the budget on a few images, and scales its time to a full trial."""
    images, task = images_of(plan.config.task), plan.config.task
    share = min(1.0, SHORT / len(images.train))
    some = Split(*(part.take(torch.arange(max(2, round(share * len(part))))) for part in images))
    drawn = sorted(
        (p for _, p in zip(range(21), draws_within(plan.space, plan.config.budgets, random.Random(0)), strict=False)),
        key=lambda p: p.cost[plan.config.minimize[0]],
    )
    middle = drawn[len(drawn) // 2]
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, int(plan.execution.cpus_per_trial)))
    network = build_network(for_proxy(middle.architecture, images.train.shape, len(images.train.classes)))
    since = time.monotonic()
    train(network, some, replace(task, epochs=1, first_rung=0), device="cuda" if plan.execution.gpus_per_trial else "cpu")
    took = time.monotonic() - since
    torch.set_num_threads(threads)
    return Pace(took * len(images.train) / len(some.train) * task.epochs, len(some.train), middle.cost["flops"])


def times(plan: Plan, pace: Pace) -> tuple[float, float]:
    """Seconds of the search and of its confirmation, from the time of one trial and the trainings at one time."""
    config, workers = plan.config, plan.at_once
    rounds = -(-config.trials // workers)
    again = -(-config.confirm * (config.confirm_top + 1) // workers)
    return rounds * pace.trial, again * pace.trial


def scientific(size: int) -> str:
    """A count of any size: ``1,234`` or ``1.2e17``."""
    return f"{size:,}" if size < 10**6 else f"{size:.1e}".replace("e+", "e")


def _budget(plan: Plan, share: Share) -> str:
    budgets = plan.config.budgets
    if not budgets:
        return "none"
    low, high = (100 * v for v in share.interval)
    interval = f"95 % interval {low:.3g} to {high:.3g} %, {share.draws:,} draws"
    return f"{', '.join(map(str, budgets))} ({100 * share.value:.3g} % of the space is within; {interval})"


def _measured(pace: Pace) -> dict[str, Any]:
    return {"images": pace.images, "flops": pace.flops}
