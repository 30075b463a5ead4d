"""`dcdnas show`: one network, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import AsCsv, Count, Source
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from rich.table import Table

    from dcdnas.cli._source import Source as Found
    from dcdnas.layers import Layer
    from dcdnas.records import Cost

__all__ = ["show"]

PANEL = "Results"

WIDE = 110
"""Columns of a terminal from which all of the table is shown."""


def show(
    out: Output,
    source: Source,
    trial: Annotated[str, typer.Option("--trial", "-t", metavar="N|best|knee", help="Which trial of a run.")] = "",
    as_csv: AsCsv = False,
    count: Count = "deploy",
) -> None:
    """Show a network layer by layer: operator and settings, place, FLOPs, parameters.

    The layers' costs add up to the network's. One FLOP is one multiply-add.

    Example:  dcdnas show quick --trial best
    """
    from dcdnas.cli._source import open_source
    from dcdnas.cost import metrics
    from dcdnas.errors import UsageError
    from dcdnas.layers import counted_as, layer_table

    if trial == "front":
        raise UsageError("--trial front is several networks. Show one: a number, best or knee; or `dcdnas trials RUN --front`.")
    found = open_source(source, trial)[0]
    layers = layer_table(counted_as(found.architecture, count), tuple(metrics))
    out.document(document(found, layers, count))
    if as_csv:
        csv_of(layers)
        return
    for line in heading(found, layers, count):
        out.show(line)
    out.show(layers_table(layers, out.console.width))
    out.show(dynamic_share(layers))


def heading(found: Found, layers: Sequence[Layer], count: str) -> list[str]:
    """What the network is, what its layers cost and how it did."""
    from dcdnas.words import costs, ending, mix

    a = found.architecture
    channels, height, width = a.input
    lines = [
        f"{a.network}, {channels}x{height}x{width} to {a.classes:,} classes: {mix(a)}",
        costs(total(layers)) + counted(count),
    ]
    if found.run and found.trial:
        confirmed = next((c for c in found.run.confirmed if c.trial.number == found.trial.number), None)
        more = ""
        if confirmed:
            spread = f" ± {100 * confirmed.spread:.1f}" if confirmed.spread is not None else ""
            more = f"; on {len(confirmed.accuracies)} fresh seeds {100 * confirmed.mean:.1f}{spread} %"
        lines.append(
            f"Trial {found.trial.number} of {found.run.name} (asked by {found.trial.origin}): {ending(found.trial)}{more}"
        )
    return lines


def counted(count: str) -> str:
    """How the FLOPs were counted, where that is not what budgets mean."""
    return "" if count == "deploy" else f" (FLOPs of the {count} forms, not what budgets mean)"


def total(layers: Sequence[Layer]) -> Cost:
    """The sum of the layers' costs: the network's."""
    from dcdnas.records import Cost

    return sum((layer.cost for layer in layers), Cost())


def layers_table(layers: Sequence[Layer], width: int = WIDE) -> Table:
    """One row a layer, and the sums; narrow terminals get the columns that matter."""
    from dcdnas.cli._tables import table

    made = table(
        "Layer", "Operator", ">Channels", ">Kernel", ">Map", ">FLOPs", ">Params", *((">Share", "Form") if width >= WIDE else ())
    )
    made.columns[0].no_wrap = True
    flops, params = (sum(layer.cost[m] for layer in layers) for m in ("flops", "params"))
    for layer in layers:
        g = layer.geometry
        kernel = f"{g.kernel_size}x{g.kernel_size}{f'/{g.stride}' if g.stride > 1 else ''}{' dw' if g.depthwise else ''}"
        place = (kernel, f"{g.height}x{g.width}") if layer.operator != "linear" else ("", "")
        cells = [layer.slot, layer.notable, f"{g.in_channels}-{g.out_channels}", *place]
        cells += [f"{layer.cost['flops']:,.0f}", f"{layer.cost['params']:,.0f}"]
        made.add_row(*cells, *((f"{100 * layer.cost['flops'] / flops:.1f} %", layer.form) if width >= WIDE else ()))
    made.add_section()
    made.add_row("Sum", "", "", "", "", f"{flops:,.0f}", f"{params:,.0f}", style="bold")
    return made


def dynamic_share(layers: Sequence[Layer]) -> str:
    """How much of the network's cost is that of being dynamic."""
    flops, params = (
        sum(layer.cost[m] - layer.static[m] for layer in layers) / sum(layer.cost[m] for layer in layers)
        for m in ("flops", "params")
    )
    if not flops and not params:
        return "All layers are static."
    return f"Being dynamic costs {100 * flops:.1f} % of the FLOPs and {100 * params:.1f} % of the parameters."


def document(found: Found, layers: Sequence[Layer], count: str) -> dict[str, Any]:
    """The network as plain data."""
    return {
        "name": found.name, "digest": found.architecture.digest, "cost": dict(total(layers).values), "count": count,
        "architecture": found.architecture.to_dict(), "layers": [row(layer) for layer in layers],
    }  # fmt: skip


def row(layer: Layer) -> dict[str, Any]:
    """A layer as plain data."""
    g = layer.geometry
    place = {n: getattr(g, n) for n in ("in_channels", "out_channels", "kernel_size", "stride", "groups", "height", "width")}
    return {
        "slot": layer.slot, "operator": layer.operator, "settings": layer.settings, "form": layer.form, **place,
        "activation": layer.activation, **layer.cost.values, **{f"static_{m}": v for m, v in layer.static.values.items()},
    }  # fmt: skip


def csv_of(layers: Sequence[Layer]) -> None:
    """Prints the layers as CSV, a row each."""
    import csv
    import sys

    rows = [{**row(layer), "settings": layer.choice} for layer in layers]
    table = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
