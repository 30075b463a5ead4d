"""`dcdnas cost`: counts the costs of networks, without training."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import AsCsv, Assignments, Count, ForData, LatencyDevice, LatencyTable
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._tables import Sheet
    from dcdnas.core.architecture import Architecture
    from dcdnas.cost import Count as CountName
    from dcdnas.cost.latency.table import LatencyTable as Table
    from dcdnas.cost.latency.timing import Timing
    from dcdnas.space.search_space import SearchSpace

__all__ = ["cost"]

PANEL = "Networks"


def cost(
    out: Output,
    source: Annotated[
        str,
        typer.Argument(
            metavar="CONFIG|SPACE|PRESET",
            help="A model config or its folder, a search space, or a published network (`dcdnas list presets`).",
            show_default=False,
        ),
    ],
    data: ForData = None,
    assignments: Assignments = None,
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer.")] = False,
    as_csv: AsCsv = False,
    count: Count = "deploy",
    latency: Annotated[
        bool, typer.Option("--latency", help="Also measure the latency, on this machine's CPU with 1 thread.")
    ] = False,
    latency_table: LatencyTable = None,
    latency_device: LatencyDevice = None,
    runtime: Annotated[
        str | None,
        typer.Option(
            "--runtime",
            metavar="torch|onnxruntime",
            help="Runtime in which latency is measured; onnxruntime runs the network as it is exported.",
        ),
    ] = None,
) -> None:
    """Count the FLOPs and parameters of a network, or of the smallest and largest network of a space.

    One FLOP is one multiply-add at batch 1. --set gives the settings of a published network. Latency is measured on this machine
    with --latency or --runtime, or predicted for another device with its --latency-table.

    Example:  dcdnas cost dcd/mobilenetv2_dcd --set width_mult=0.5
    """
    from dcdnas.cli._source import network_or_space, preset_settings
    from dcdnas.core.architecture import Architecture
    from dcdnas.errors import UsageError

    out.check_csv(as_csv)
    found = network_or_space(out, source, preset_settings(assignments or []), data)
    if isinstance(found, Architecture):
        wanted = latency or latency_table or latency_device or runtime
        timed = _latency(out, found, latency_table, latency_device, runtime) if wanted else None
        _network(out, source, found, layers, as_csv, count, timed)
    elif layers or as_csv or count != "deploy" or latency or latency_table or latency_device or runtime:
        raise UsageError(
            f"--layers, --csv, --count and --latency are for one network, and {source} is a space. "
            "Give a model config or a preset."
        )
    else:
        _space(out, source, found)


Timed = tuple["Table", "Timing | None"]
"""The latency table, and the latency of the whole network if it was measured."""


def _latency(out: Output, architecture: Architecture, file: str | None, device: str | None, runtime: str | None) -> Timed:
    from dcdnas.cli._measuring import measuring
    from dcdnas.cost.latency.choosing import take_network

    with measuring(out) as told:
        return take_network(architecture, file, device, told, runtime)


def _network(
    out: Output, name: str, architecture: Architecture, layers: bool, as_csv: bool, count: CountName, timed: Timed | None
) -> None:
    from dcdnas.cli._layer_table import counted, csv_of, dynamic_share, layers_table, row
    from dcdnas.core.units import costs, outputs
    from dcdnas.cost import breakdown, counted_as
    from dcdnas.cost.latency import prices_by

    prices = prices_by(timed[0] if timed else None)
    found = breakdown(counted_as(architecture, count), ("latency",) if timed else (), prices)
    if as_csv:
        csv_of(found.layers)
        return
    whole = found.cost
    out.document({
        "name": name, "digest": architecture.digest, "cost": whole.values, "count": count,
        "flops_parts": asdict(found.parts), "by_operator": found.by_operator,
        **({"layers": [row(layer) for layer in found.layers]} if layers else {}), **_document(timed),
    })  # fmt: skip
    channels, height, width = architecture.input
    said = outputs(architecture.classes, head=architecture.head)
    out.show(f"{name}: {architecture.named}, {channels}x{height}x{width} to {said}")
    out.show(
        f"{costs(whole)} ({whole['flops']:,.0f} multiply-adds at batch 1, {whole['params']:,.0f} parameters){counted(count)}"
    )
    if timed:
        out.show(_said(timed, whole["latency"]))
    shown = layers_table(found.layers, ("latency",) if timed else ()) if layers else _operators(found.by_operator)
    out.show(shown, dynamic_share(found))


def _operators(by_operator: Mapping[str, Mapping[str, float]]) -> Sheet:
    from dcdnas.cli._tables import table

    made = table("Operator", ">Layers", ">FLOPs", ">Params")
    for operator, sums in by_operator.items():
        made.add_row(operator, *(f"{sums[name]:,.0f}" for name in ("layers", "flops", "params")))
    return made


def _said(timed: Timed, nanoseconds: float) -> str:
    from dcdnas.core.units import quantity

    table, measured = timed
    spread = f", quartiles {quantity('latency', measured.iqr)} apart, measured whole" if measured else ", predicted"
    return f"Latency {quantity('latency', nanoseconds)}{spread} on {table.device}"


def _document(timed: Timed | None) -> dict[str, Any]:
    if timed is None:
        return {}
    table, measured = timed
    found = {"measured": measured.median, "iqr": measured.iqr} if measured else {}
    return {"latency": {"device": asdict(table.device), **found}}


def _space(out: Output, name: str, space: SearchSpace) -> None:
    from dcdnas.cli._tables import table
    from dcdnas.core.units import costs, mix
    from dcdnas.cost import ALWAYS
    from dcdnas.space.pricing.cost import largest, smallest

    ends = [(f"{word} by {metric}", end(space, metric)) for metric in ALWAYS for word, end in
            (("smallest", smallest), ("largest", largest))]  # fmt: skip
    out.document(
        {
            "space": space.name,
            "ends": [{"what": what, "cost": p.cost.values, "decisions": p.decisions} for what, p in ends],
        }
    )
    made = table("Network", "Costs", "Layers", title=f"{space.name}: {space.description}")
    for what, found in ends:
        made.add_row(what, costs(found.cost), mix(found.architecture))
    out.show(made, f"How much of it fits a budget: dcdnas space check {shlex.quote(name)} -b BUDGET")
