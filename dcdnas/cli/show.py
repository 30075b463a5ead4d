"""`dcdnas show`: shows one network layer by layer."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import AsCsv, Count, Source
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._source import Source as Found
    from dcdnas.core.breakdown import Breakdown
    from dcdnas.core.geometry import Cost
    from dcdnas.cost import Count as CountName

__all__ = ["show"]

PANEL = "Results"


def show(
    out: Output,
    source: Source,
    trial: Annotated[
        str, typer.Option("--trial", "-t", metavar="N|best|knee", help="Trial of a run: its number, best (default) or knee.")
    ] = "",
    as_csv: AsCsv = False,
    count: Count = "deploy",
) -> None:
    """Show a network layer by layer: operator and settings, geometry, FLOPs and their parts, parameters.

    The costs of the layers add up to that of the network. One FLOP is one multiply-add. The FLOPs of a layer have three parts:
    the convolution, with everything that depends on the input held constant; the controller, which computes the quantities that
    depend on the input; and the dynamic part, which applies them.

    Example:  dcdnas show quick --trial best
    """
    from dcdnas.cli._layer_table import csv_of, dynamic_share, layers_table
    from dcdnas.cli._source import open_source
    from dcdnas.core.units import ALWAYS
    from dcdnas.errors import UsageError
    from dcdnas.results.known import breakdown_of

    out.check_csv(as_csv)
    if trial == "front":
        raise UsageError("--trial front is several networks. Show one: a number, best or knee; or `dcdnas trials RUN --front`.")
    found = open_source(source, trial)[0]
    priced = found.trial.cost.values if found.trial else ALWAYS
    timed = bool(found.run and found.run.config.get("latency"))
    costs = _breakdown(found, count) if timed or count != "deploy" else breakdown_of(found.architecture, priced)
    out.document(document(found, costs, count))
    if as_csv:
        csv_of(costs.layers)
        return
    for line in heading(found, costs.cost, count):
        out.show(line)
    out.show(layers_table(costs.layers, ("latency",) if timed else ()))
    out.show(dynamic_share(costs))


def _breakdown(found: Found, count: CountName) -> Breakdown:
    """Computes the costs with latencies from the run's table, or in other forms than the deploy forms."""
    from dcdnas.cost import breakdown, counted_as
    from dcdnas.cost.latency import prices_by
    from dcdnas.engine.latency import table_for

    in_form = counted_as(found.architecture, count)
    table = table_for(found.run.folder, in_form) if found.run else None
    return breakdown(in_form, ("latency",) if table else (), prices_by(table))


def heading(found: Found, whole: Cost, count: str) -> list[str]:
    """Writes lines with the network's shape, its costs and its results."""
    from dcdnas.cli._layer_table import counted
    from dcdnas.core.units import costs, ending, mix, outputs, quantity
    from dcdnas.results.verdict import mean_said

    a = found.architecture
    channels, height, width = a.input
    own = found.run.own_task if found.run else ""
    lines = [
        f"{a.named}, {channels}x{height}x{width} to {outputs(a.classes, own, a.head)}: {mix(a)}",
        costs(whole) + counted(count),
    ]
    if found.run and found.trial:
        confirmed = found.run.confirmed_as(found.trial)
        once = " in one training" if found.trial.state == "finished" else ""
        more = f"; {mean_said(found.run, confirmed)}" if confirmed else ", not confirmed" if once else ""
        reached = ending(found.trial, found.run.objective)
        lines.append(f"Trial {found.trial.number} of {found.run.name} (asked by {found.trial.origin}): {reached}{once}{more}")
        if as_proxy := found.run.trained_as(found.trial):
            lines.append(f"Trained as {as_proxy}")
        timed = found.run.timed.get(found.trial.deployed)
        if timed:
            from dcdnas.cost.latency.device import Device

            predicted, measured, iqr = (
                quantity("latency", v) for v in (found.trial.cost["latency"], timed["latency"], timed["iqr"])
            )
            device = Device(**found.run.config["latency"]["device"])
            lines.append(f"Latency {predicted} predicted, {measured} measured (quartiles {iqr} apart) on {device}")
    return lines


def document(found: Found, costs: Breakdown, count: str) -> dict[str, Any]:
    """Returns the network as plain data."""
    from dcdnas.cli._layer_table import row

    return {
        "name": found.name, "digest": found.architecture.digest, "cost": dict(costs.cost.values),
        "count": count, "flops_parts": asdict(costs.parts),
        "architecture": found.architecture.to_dict(), "layers": [row(layer) for layer in costs.layers],
    }  # fmt: skip
