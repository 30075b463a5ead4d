"""`dcdnas cost`: what networks cost, without training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import AsCsv, Assignments, Count
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.architecture import Architecture
    from dcdnas.layers import Count as CountName
    from dcdnas.space import SearchSpace

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
) -> None:
    """Count a network's FLOPs and parameters, or those of a space's smallest and largest network.

    One FLOP is one multiply-add at batch 1. A published network takes its own settings with --set.

    Example:  dcdnas cost dcd/mobilenetv2_dcd --set width_mult=0.5
    """
    from dcdnas.architecture import Architecture
    from dcdnas.cli._source import preset_settings
    from dcdnas.errors import UsageError
    from dcdnas.space_library import load_space, shipped
    from dcdnas.yaml_lines import read_yaml

    settings = preset_settings(assignments or [])
    if "/" in source and not Path(source).exists() and not source.endswith((".yaml", ".yml", ".json")):
        from dcdnas.published import architecture

        _network(out, source, architecture(source, **settings), layers, as_csv, count)
        return
    if settings:
        raise UsageError(f"--set sets a published network's settings, and {source} is none. `dcdnas list presets` shows them.")
    content = read_yaml(source).data if source not in shipped() and Path(source).is_file() else None
    if (isinstance(content, Mapping) and str(content.get("format", "")).startswith("dcdnas/architecture")) or _is_model(content):
        _network(out, source, Architecture.read(source), layers, as_csv, count)
    elif as_csv or count != "deploy":
        raise UsageError(f"--csv and --count are for one network, and {source} is a space. Give a model config or a preset.")
    else:
        _space(out, source, load_space(source))


def _network(out: Output, name: str, architecture: Architecture, layers: bool, as_csv: bool, count: CountName) -> None:
    from dcdnas.cli._layer_table import csv_of, dynamic_share, layers_table, parts, row
    from dcdnas.cli._tables import table
    from dcdnas.cli.show import counted
    from dcdnas.cost import exact_metrics, price, with_always
    from dcdnas.layers import counted_as, layer_table
    from dcdnas.words import costs

    in_form = counted_as(architecture, count)
    found = layer_table(in_form)
    if as_csv:
        csv_of(found)
        return
    by_operator: dict[str, list[float]] = {}
    for layer in found:
        sums = by_operator.setdefault(layer.operator, [0, 0, 0])
        for index, value in enumerate((1, layer.cost["flops"], layer.cost["params"])):
            sums[index] += value
    whole = price(in_form, with_always(exact_metrics()))
    out.document({
        "name": name, "digest": architecture.digest, "cost": whole.values, "count": count,
        "flops_parts": asdict(parts(found)), "by_operator": _plain(by_operator),
        **({"layers": [row(layer) for layer in found]} if layers else {}),
    })  # fmt: skip
    channels, height, width = architecture.input
    out.show(f"{name}: {architecture.network}, {channels}x{height}x{width} to {architecture.classes:,} classes")
    out.show(
        f"{costs(whole)} ({whole['flops']:,.0f} multiply-adds at batch 1, {whole['params']:,.0f} parameters){counted(count)}"
    )
    made = table("Operator", ">Layers", ">FLOPs", ">Params")
    for operator, (number, flops, params) in by_operator.items():
        made.add_row(operator, f"{number:.0f}", f"{flops:,.0f}", f"{params:,.0f}")
    out.show(layers_table(found, out.console.width) if layers else made, dynamic_share(found))


def _space(out: Output, name: str, space: SearchSpace) -> None:
    from dcdnas.cli._tables import table
    from dcdnas.space_cost import largest, smallest
    from dcdnas.words import costs, mix

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
