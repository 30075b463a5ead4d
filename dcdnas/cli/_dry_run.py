"""`dcdnas search --dry-run`: the size of a search, and its time, estimated from one short training that is measured."""

from __future__ import annotations

from dcdnas.cli._output import Output
from dcdnas.core.units import amount, quantity, roughly, scientific
from dcdnas.engine.planning import Plan, estimated
from dcdnas.space.pricing.cost import Share, largest, share_within, smallest

TIMES = "seconds_a_trial", "seconds", "seconds_to_confirm"
"""Names of the times in the JSON document."""


def describe(out: Output, plan: Plan) -> None:
    """Prints a search's size, costs, share within the budget, data, machine and time, without starting it.

    The time of a user's own task cannot be known, so it has no line, and is null in JSON.
    """
    space, config = plan.space, plan.config
    metrics = tuple(dict.fromkeys([*config.minimize, *(b.metric for b in config.budgets)]))
    ranges = {m: (smallest(space, m).cost[m], largest(space, m).cost[m]) for m in metrics}
    spans = ", ".join(f"{quantity(m, low)} to {amount(m, high)}" for m, (low, high) in ranges.items())
    share = share_within(space, config.budgets)
    out.show(f"Space      {space.name}: {in_digits(space.size)} networks, {spans}")
    out.show(f"Budget     {_budget(plan, share)}")
    if plan.table:
        out.show(f"Latency    predicted for {plan.table.device}")
    out.show(f"Data       {plan.data}")
    for note in plan.notes:
        out.show(f"Note: {note}")
    out.show(f"Machine    {plan.machine}")
    timed = not config.task.own
    if timed and not config.table:
        out.detail("training one network briefly, to measure its time")
    time = estimated(plan)
    taken = f"{roughly(time.search)} for {config.trials} trials, {roughly(time.confirm)} more to confirm"
    measured = f"{taken} (measured on one short training)"
    seconds_of = time.trial, time.search, time.confirm
    if timed:
        out.show(f"Time       {'seconds: nothing is trained' if config.table else measured}")
    out.show(f"Run        {plan.folder}")
    out.show("Nothing was searched (--dry-run).")
    out.document(
        {
            "space": space.name, "networks": str(space.size), "ranges": ranges, "budgets": [str(b) for b in config.budgets],
            "share": share.value, "share_interval": share.interval, "share_draws": share.draws, "data": plan.data,
            "notes": plan.notes, "machine": plan.machine, "folder": plan.folder, "trials": config.trials,
            **{name: seconds if timed else None for name, seconds in zip(TIMES, seconds_of, strict=True)},
            "measured": {"images": time.images, **time.cost.values},
        }
    )  # fmt: skip


def in_digits(size: int) -> str:
    """Writes a count of any size: ``1,234`` or ``1.2e17``."""
    return f"{size:,}" if size < 10**6 else scientific(size)


def _budget(plan: Plan, share: Share) -> str:
    budgets = plan.config.budgets
    if not budgets:
        return "none"
    low, high = (100 * v for v in share.interval)
    interval = f"95 % interval {low:.3g} to {high:.3g} %, {share.draws:,} draws"
    return f"{', '.join(map(str, budgets))} ({100 * share.value:.3g} % of the space is within; {interval})"
