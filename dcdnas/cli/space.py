"""Inspect a search space: its decisions, its costs, and how much of it fits a budget."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dcdnas.cli._options import Budgets, ForData, LatencyDevice, LatencyTable
from dcdnas.cli._output import Output
from dcdnas.core.units import scientific

if TYPE_CHECKING:
    from dcdnas.core.budget import Budget
    from dcdnas.space.pricing.coverage import Fit
    from dcdnas.space.search_space import SearchSpace

__all__ = ["space"]

PANEL = "Spaces and data"

Space = Annotated[str, typer.Argument(metavar="SPACE", help="A shipped space's name, or a space file.", show_default=False)]
Chances = Annotated[
    Literal["operators", "networks"],
    typer.Option(
        "--chances",
        help="What is equally likely in a draw: each option of a decision, operators before their settings; or each network.",
    ),
]


def show(out: Output, space: Space, data: ForData = None) -> None:
    """Show the decisions of a space, and its slots with their candidate operators."""
    from dcdnas.cli._source import open_space
    from dcdnas.cli._tables import table
    from dcdnas.core.units import outputs

    found = open_space(out, space, data)
    out.document(_described(found))
    channels, height, width = found.input
    out.show(f"{found.name}: {found.description}")
    said = outputs(found.classes, head=found.head)
    out.show(f"{found.named}, {channels}x{height}x{width} to {said}, {_count(found.size)} outcomes")
    decisions = table("Decision", "Options", "Exists where", title="Decisions")
    for d in found.decisions:
        where = f"{d.parent} is {' or '.join(map(str, d.when))}" if d.parent else ""
        decisions.add_row(d.name, ", ".join(map(str, d.options)), where)
    slots = table("Group", "Slots", "Candidates", title="Slots that share a choice")
    for g in found.groups:
        slots.add_row(g.name, ", ".join(g.slots), ", ".join(c.operator for c in g.candidates))
    out.show(decisions, slots)
    for rule in found.forbidden:
        out.show(f"Forbidden: {rule.text}")


def check(
    out: Output,
    space: Space,
    budget: Budgets = None,
    data: ForData = None,
    latency_table: LatencyTable = None,
    latency_device: LatencyDevice = None,
) -> None:
    """Check a space file, and show how much of the space fits a budget and which options never do.

    Example:  dcdnas space check mobilenetv2-imagenet -b 300MFLOPs
    """
    from dcdnas.cli._source import open_space
    from dcdnas.core.budget import parse_budgets
    from dcdnas.cost import notations
    from dcdnas.space.pricing.coverage import fit

    budgets = parse_budgets(budget or [], notations(budget or []))
    found = open_space(out, space, data).filling(budgets)
    found = _priced(out, found, budgets, latency_table, latency_device)
    result = fit(found, budgets)
    out.document(_checked(found, budgets, result))
    for line in _lines(found, budgets, result):
        out.show(line)


def sample(
    out: Output,
    space: Space,
    budget: Budgets = None,
    data: ForData = None,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Number of networks to draw.")] = 5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the draws.")] = 0,
    chances: Chances = "operators",
    latency_table: LatencyTable = None,
    latency_device: LatencyDevice = None,
) -> None:
    """Draw random networks of a space, all of them within the budget.

    Example:  dcdnas space sample mobilenetv2-imagenet -b 250-300MFLOPs -n 3
    """
    from dcdnas.cli._source import open_space
    from dcdnas.cli._tables import table
    from dcdnas.core.budget import parse_budgets
    from dcdnas.core.units import costs, mix
    from dcdnas.cost import notations
    from dcdnas.errors import NothingFitsError
    from dcdnas.space.pricing.cost import check_budgets, draws_within

    budgets = parse_budgets(budget or [], notations(budget or []))
    found = open_space(out, space, data).filling(budgets)
    found = _priced(out, found, budgets, latency_table, latency_device)
    check_budgets(found, budgets)
    drawn = list(islice(draws_within(found, budgets, random.Random(seed), chances=chances), number))
    out.document(
        [
            {"decisions": p.decisions, "cost": p.cost.values, "digest": p.architecture.digest, **p.architecture.to_dict()}
            for p in drawn
        ]
    )
    made = table("Network", "Costs", "Layers", "Decisions")
    for p in drawn:
        made.add_row(p.architecture.digest, costs(p.cost), mix(p.architecture), _short(p.decisions))
    out.show(made)
    if len(drawn) < number:
        raise NothingFitsError(f"only {len(drawn)} of {number} networks of {found.name} were found within the budget.")


space = {"show": show, "check": check, "sample": sample}


def _priced(out: Output, found: SearchSpace, budgets: Sequence[Budget], file: str | None, device: str | None) -> SearchSpace:
    """Adds latency to the prices of a space if a budget bounds it."""
    from dcdnas.cli._measuring import measuring
    from dcdnas.cost.latency import prices_by
    from dcdnas.space.pricing.latency import take_table

    with measuring(out) as told:
        return found.priced_by(prices_by(take_table(found, [b.metric for b in budgets], file, device, told)))


def _described(found: SearchSpace) -> dict[str, Any]:
    return {
        "name": found.name, "description": found.description, "network": found.network, "head": found.head, "input": found.input,
        "classes": found.classes, "size": str(found.size), "digest": found.digest,
        "decisions": [{"name": d.name, "options": d.options, "parent": d.parent, "when": d.when} for d in found.decisions],
        "groups": [{"name": g.name, "slots": g.slots, "operators": [c.operator for c in g.candidates]} for g in found.groups],
        "forbidden": [rule.text for rule in found.forbidden],
    }  # fmt: skip


def _checked(found: SearchSpace, budgets: Sequence[Budget], result: Fit) -> dict[str, Any]:
    return {
        "name": found.name, "size": str(found.size), "budgets": [str(b) for b in budgets], "notes": result.notes,
        "ranges": {r.metric: {"smallest": r.smallest, "median": r.median, "largest": r.largest} for r in result.ranges},
        "share": result.share.value, "share_interval": result.share.interval, "share_draws": result.share.draws,
        "never": [{"decision": n, "options": options} for n, options in result.never.items()],
        "forced": result.forced, "forbidden": [rule.text for rule in found.forbidden],
        "filled": result.filled.value if result.filled else None,
    }  # fmt: skip


def _lines(found: SearchSpace, budgets: Sequence[Budget], result: Fit) -> list[str]:
    from dcdnas.core.units import amount, quantity

    said = [f"{found.name}: no problems, {_count(found.size)} outcomes of {len(found.decisions)} decisions"]
    for r in result.ranges:
        median = f", median about {quantity(r.metric, r.median)}" if r.median is not None else ""
        said.append(f"Costs      {quantity(r.metric, r.smallest)} to {amount(r.metric, r.largest)}{median}")
    said += [f"Forbidden  {rule.text}" for rule in found.forbidden]
    return said + (_within(found, budgets, result) if budgets else []) + _left(result)


def _within(found: SearchSpace, budgets: Sequence[Budget], result: Fit) -> list[str]:
    from dcdnas.space.width_fit import GOAL

    low, high = (100 * bound for bound in result.share.interval)
    how = f"95 % interval {low:.3g} to {high:.3g} %, {result.share.draws:,} draws" if result.share.draws else "none at all"
    said = [f"Budget     {', '.join(map(str, budgets))}: {100 * result.share.value:.3g} % of the space is within ({how})"]
    if result.filled:
        low, high = (100 * bound for bound in result.filled.interval)
        share = f"{100 * result.filled.value:.3g} % of the networks use {100 * GOAL:.0f} to 100 % of it"
        said.append(f"Width      fitted to {budgets[0]}: {share} (95 % interval {low:.3g} to {high:.3g} %)")
    return said


def _left(result: Fit) -> list[str]:
    said = [f"Never fits {name}: {', '.join(map(str, options))}" for name, options in result.never.items()]
    said += [f"Forced     {name} is {option}" for name, option in result.forced.items()]
    return said + [f"Note       {note}" for note in result.notes]


def _count(size: int) -> str:
    return f"{size:,}" if size < 10**7 else scientific(size)


def _short(decisions: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in decisions.items())
