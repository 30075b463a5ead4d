"""`dcdnas cost`: what networks cost, without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import AsCsv, Assignments, Count, LatencyDevice, LatencyTable
from dcdnas.cli._output import Output

if TYPE_CHECKING:
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
        typer.Argument(metavar="CONFIG|SPACE|PRESET", help="A model config, a space or a published network.", show_default=False),
    ],
    assignments: Assignments = None,
    layers: Annotated[bool, typer.Option("--layers", help="Show every layer.")] = False,
    as_csv: AsCsv = False,
    count: Count = "deploy",
    latency: Annotated[bool, typer.Option("--latency", help="Measure its latency on this machine's CPU, too, 1 thread.")] = False,
    latency_table: LatencyTable = None,
    latency_device: LatencyDevice = None,
) -> None:
    """Count a network's FLOPs and parameters, or those of a space's smallest and largest network.

    One FLOP is one multiply-add at batch 1. A published network takes its own settings with --set. Latency is measured with
    --latency, or predicted for another device with its --latency-table.

    Example:  dcdnas cost dcd/mobilenetv2_dcd --set width_mult=0.5
    """
    from dcdnas.cli._source import is_preset, preset_settings
    from dcdnas.core.architecture import Architecture
    from dcdnas.core.yaml_lines import read_yaml
    from dcdnas.errors import UsageError
    from dcdnas.space.library import load_space, shipped

    settings = preset_settings(assignments or [])
    if is_preset(source):
        from dcdnas.published import architecture

        found = architecture(source, **settings)
        timed = _latency(out, found, latency, latency_table, latency_device)
        _network(out, source, found, layers, as_csv, count, timed)
        return
    if settings:
        raise UsageError(f"--set sets a published network's settings, and {source} is none. `dcdnas list presets` shows them.")
    content = read_yaml(source).data if source not in shipped() and Path(source).is_file() else None
    if (isinstance(content, Mapping) and str(content.get("format", "")).startswith("dcdnas/architecture")) or _is_model(content):
        found = Architecture.read(source)
        timed = _latency(out, found, latency, latency_table, latency_device)
        _network(out, source, found, layers, as_csv, count, timed)
    elif as_csv or count != "deploy" or latency or latency_table or latency_device:
        raise UsageError(
            f"--csv, --count and --latency are for one network, and {source} is a space. Give a model config or a preset."
        )
    else:
        _space(out, source, load_space(source))


Timed = tuple["Table", "Timing | None"]
"""The latency table in use, and what the whole network takes where that was measured."""


def _latency(out: Output, architecture: Architecture, wanted: bool, file: str | None, device: str | None) -> Timed | None:
    from dcdnas.cli._measuring import measuring
    from dcdnas.engine.planning import take_network
    from dcdnas.errors import UsageError

    if device and not file:
        raise UsageError("--latency-device names the device of a table. Give the table, too: --latency-table FILE.")
    if not wanted and not file:
        return None
    with measuring(out) as told:
        return take_network(architecture, file, device, told)


def _network(
    out: Output, name: str, architecture: Architecture, layers: bool, as_csv: bool, count: CountName, timed: Timed | None
) -> None:
    from dcdnas.cli._layer_table import csv_of, dynamic_share, layers_table, parts, row
    from dcdnas.cli._tables import table
    from dcdnas.cli.show import counted
    from dcdnas.core.units import costs
    from dcdnas.cost import additive_metrics, counted_as, exact_metrics, layer_table, price, with_always

    in_form, also = counted_as(architecture, count), ("latency",) if timed else ()
    found = layer_table(in_form, (*additive_metrics(), *also))
    if as_csv:
        csv_of(found)
        return
    by_operator: dict[str, list[float]] = {}
    for layer in found:
        sums = by_operator.setdefault(layer.operator, [0, 0, 0])
        for index, value in enumerate((1, layer.cost["flops"], layer.cost["params"])):
            sums[index] += value
    whole = price(in_form, with_always([*exact_metrics(), *also]))
    out.document({
        "name": name, "digest": architecture.digest, "cost": whole.values, "count": count,
        "flops_parts": asdict(parts(found)), "by_operator": _plain(by_operator),
        **({"layers": [row(layer) for layer in found]} if layers else {}), **_document(timed),
    })  # fmt: skip
    channels, height, width = architecture.input
    out.show(f"{name}: {architecture.network}, {channels}x{height}x{width} to {architecture.classes:,} classes")
    out.show(
        f"{costs(whole)} ({whole['flops']:,.0f} multiply-adds at batch 1, {whole['params']:,.0f} parameters){counted(count)}"
    )
    if timed:
        out.show(_said(timed, whole["latency"]))
    made = table("Operator", ">Layers", ">FLOPs", ">Params")
    for operator, (number, flops, params) in by_operator.items():
        made.add_row(operator, f"{number:.0f}", f"{flops:,.0f}", f"{params:,.0f}")
    out.show(layers_table(found, out.console.width) if layers else made, dynamic_share(found))


def _said(timed: Timed, nanoseconds: float) -> str:
    from dcdnas.core.budget import quantity

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
    from dcdnas.space.pricing.cost import largest, smallest

    ends = [(f"{word} by {metric}", end(space, metric)) for metric in ("flops", "params") for word, end in
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
    out.show(made, f"How much of it fits a budget: dcdnas space check {name} -b BUDGET")


def _is_model(content: Any) -> bool:
    """A model config, also one in timm's shape."""
    if not isinstance(content, Mapping):
        return False
    return str(content.get("format", "")).startswith("dcdnas/architecture") or isinstance(content.get("dcdnas"), Mapping)


def _plain(by_operator: Mapping[str, list[float]]) -> dict[str, dict[str, float]]:
    return {name: {"layers": n, "flops": flops, "params": params} for name, (n, flops, params) in by_operator.items()}
