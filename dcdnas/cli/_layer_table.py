"""A network layer by layer as table, JSON and CSV, for `dcdnas show` and `dcdnas cost --layers`."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dcdnas.core.breakdown import Parts
from dcdnas.core.geometry import Cost
from dcdnas.core.units import ALWAYS, cell, metric_name

if TYPE_CHECKING:
    from dcdnas.cli._tables import Sheet
    from dcdnas.core.breakdown import Breakdown, Layer

GEOMETRY = ("in_channels", "out_channels", "kernel_size", "stride", "groups", "dilation", "height", "width")


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        title: heading; begins with ``>`` for a column of right-aligned numbers.
        rank: columns of the highest rank are left out first on a narrow terminal.
        cell: returns the text of a layer's cell.
        total: returns the text of the sum of all layers.
    """

    title: str
    rank: int
    cell: Callable[[Layer], str]
    total: Callable[[Sequence[Layer]], str] = lambda layers: ""


def layers_table(layers: Sequence[Layer], asked: Sequence[str] = ()) -> Sheet:
    """Makes a table with one row per layer and the sums; narrow terminals get the main columns and the metrics asked for."""
    from dcdnas.cli._tables import table

    columns = _columns(layers, asked)
    spare = sorted((c for c in columns if c.rank), key=lambda c: -c.rank)
    made = table(*(c.title for c in columns), spare=[c.title.lstrip(">") for c in spare])
    for layer in layers:
        made.add_row(*(column.cell(layer) for column in columns))
    made.add_section()
    made.add_row(*(column.total(layers) for column in columns), bold=True)
    return made


def _columns(layers: Sequence[Layer], asked: Sequence[str]) -> list[Column]:
    flops = total(layers)["flops"]
    more = [name for name in total(layers).values if name not in ALWAYS]
    return [
        Column("Layer", 0, lambda x: x.name, lambda _: "Sum"),
        Column("Operator", 0, lambda x: x.notable),
        Column(">Channels", 1, lambda x: f"{x.geometry.in_channels}-{x.geometry.out_channels}"),
        Column(">Kernel", 1, _kernel),
        Column(">Map", 2, lambda x: "" if x.slot.kind == "linear" else f"{x.geometry.height}x{x.geometry.width}"),
        _sum("flops", 0),
        *map(_part, ("convolution", "dynamic", "controller")),
        Column(">Share", 4, lambda x: f"{100 * x.cost['flops'] / flops:.1f} %"),
        _sum("params", 0),
        *(_sum(name, 0 if name in asked else 7) for name in more),
        Column("Activation", 6, lambda x: x.slot.activation),
        Column("Form", 5, lambda x: x.choice.form),
    ]


def _sum(metric: str, rank: int) -> Column:
    return Column(
        f">{metric_name(metric, short=True)}",
        rank,
        lambda x: cell(metric, x.cost[metric]),
        lambda all: cell(metric, total(all)[metric]),
    )


def _part(name: str) -> Column:
    def said(of: Parts) -> str:
        value = getattr(of, name)
        return f"{value:,}" if value else ""

    return Column(f">{name.capitalize()}", 3, lambda x: said(x.parts), lambda all: said(parts(all)))


def _kernel(layer: Layer) -> str:
    g = layer.geometry
    if layer.slot.kind != "conv":
        return ""
    groups = " dw" if g.depthwise else f" g{g.groups}" * (g.groups > 1)
    return f"{g.kernel_size}x{g.kernel_size}{f'/{g.stride}' if g.stride > 1 else ''}{groups}"


def total(layers: Sequence[Layer]) -> Cost:
    """Sums the layers' costs, which gives the network's cost."""
    return sum((layer.cost for layer in layers), Cost())


def parts(layers: Sequence[Layer]) -> Parts:
    """Sums the parts of the layers' multiply-adds."""
    return sum((layer.parts for layer in layers), Parts())


def counted(count: str) -> str:
    """States how the FLOPs were counted, unless they are those of the deploy forms, which budgets refer to."""
    return "" if count == "deploy" else f" (FLOPs of the {count} forms; budgets refer to the deploy forms)"


def dynamic_share(costs: Breakdown) -> str:
    """States which share of the network's cost its dynamic parts cause."""
    flops, params = costs.parts, costs.cost["params"]
    more = params - sum(layer.static["params"] for layer in costs.layers)
    if not flops.being_dynamic and not more:
        return "All layers are static."
    share = f"Being dynamic costs {100 * flops.being_dynamic / flops.whole:.1f} % of the FLOPs"
    if more < 0:
        return f"{share}, with {-100 * more / (params - more):.1f} % fewer parameters than static layers in the same places."
    return f"{share} and {100 * more / params:.1f} % of the parameters."


def row(layer: Layer) -> dict[str, Any]:
    """Returns a layer as plain data."""
    return {
        "slot": layer.name, "operator": layer.operator, "settings": dict(layer.choice.settings), "form": layer.choice.form,
        "guide_channels": layer.choice.guide_channels, **{name: getattr(layer.geometry, name) for name in GEOMETRY},
        "activation": layer.slot.activation, **layer.cost.values,
        **{f"flops_{p}": value for p, value in asdict(layer.parts).items()},
        **{f"static_{m}": v for m, v in layer.static.values.items()},
    }  # fmt: skip


def csv_of(layers: Sequence[Layer]) -> None:
    """Prints the layers as CSV, one row each."""
    rows = [{**row(layer), "settings": layer.described} for layer in layers]
    table = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
