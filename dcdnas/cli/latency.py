"""Latency tables: measure a device, show a table, or list the layers that a table needs."""

from __future__ import annotations

import shlex
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import ForData
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._tables import Sheet
    from dcdnas.cost.latency.table import LatencyTable
    from dcdnas.cost.latency.timing import Timing

__all__ = ["latency"]

PANEL = "Spaces and data"

Space = Annotated[str, typer.Argument(metavar="SPACE", help="A shipped space's name, or a space file.", show_default=False)]


def measure(
    out: Output,
    space: Space,
    data: ForData = None,
    to: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Also write the table to this file, for other machines.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", metavar="N", min=1, help="CPU threads to use.")] = 1,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Batch size.")] = 1,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Device to measure.")] = "cpu",
    runtime: Annotated[
        str,
        typer.Option(
            "--runtime", metavar="torch|onnxruntime", help="Runtime of the layers; onnxruntime runs them as they are exported."
        ),
    ] = "torch",
    number: Annotated[
        int,
        typer.Option(
            "--networks", "-n", metavar="N", min=3, help="Whole networks to measure, which correct the sums of the layers."
        ),
    ] = 30,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure everything again, ignoring stored times.")] = False,
) -> None:
    """Measure the latency of every layer that a space can contain, on this machine.

    Random whole networks are measured, too: they correct the sums of the layers and show the error of the predictions. The times
    are stored, and `dcdnas search SPACE -b 2ms` uses them. With --runtime onnxruntime every layer is exported as `dcdnas export`
    does for one image and measured there; `dcdnas search SPACE -b 1ms --latency-table FILE` then bounds the latency of the
    exported network.

    Examples:  dcdnas latency measure fashion-quick -o laptop.json  |  dcdnas latency measure my.yaml --runtime onnxruntime
    """
    from dcdnas.cli._measuring import measuring
    from dcdnas.cli._source import open_space
    from dcdnas.cost.latency.device import this_device
    from dcdnas.cost.latency.file import table_text
    from dcdnas.space.pricing.latency import measured

    found = open_space(out, space, data)
    target = this_device(device, threads, batch, runtime)
    with measuring(out) as told:
        table = measured(found, target, number, lambda share: told(f"latencies of {found.name} on {target}", share), fresh)
    if to:
        _write(to, table_text(table.device, table.slots.items(), table.correction))
    _show(out, table, to)


def show(
    out: Output,
    table: Annotated[str, typer.Argument(metavar="FILE", help="File of a latency table.", show_default=False)],
) -> None:
    """Show a latency table: its device, its times by operator, and the error of its predictions.

    Example:  dcdnas latency show laptop.json
    """
    from dcdnas.cost.latency.file import read_table

    _show(out, read_table(table), None)


def slots(
    out: Output,
    space: Space,
    to: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write the list to.", show_default=False)],
    latency_device: Annotated[
        str | None,
        typer.Option(
            "--latency-device",
            metavar="NAME",
            help="Name of the device, which a search gives with the same flag; by default that in FILE, else 'cpu: my device'.",
        ),
    ] = None,
    data: ForData = None,
) -> None:
    """List every layer that a space's latency table needs, with empty times for you to fill in from your own device.

    If FILE is a latency table already, its times are kept, and only the layers that it lacks are added.

    Example:  dcdnas latency slots fashion-quick -o phone.json --latency-device "cpu: my phone"
    """
    from dcdnas.cli._source import open_space
    from dcdnas.cost.latency.file import table_text
    from dcdnas.errors import UsageError
    from dcdnas.space.pricing.latency import places_needed

    found = open_space(out, space, data)
    needed = places_needed(found)
    if needed is None:
        raise UsageError(
            f"the layers of {found.name} cannot be listed: its width is fitted, or its networks cannot be split into blocks."
        )
    before = _begun(to, latency_device)
    rows = [*before.slots.items(), *((place, None) for place in before.missing(needed))]
    _write(to, table_text(before.device, rows, before.correction if before.slots else None))
    kept = len(needed) - len(before.missing(needed))
    out.document({"file": to, "places": len(needed), "kept": kept})
    has = f" {kept:,} of them have their time already, in ns." if kept else ""
    out.show(f"{to}: {len(needed):,} layers of {found.name}.{has} Fill in each `value`, in the unit that `unit` says; then:")
    named = f"--latency-table {shlex.quote(str(to))} --latency-device {shlex.quote(before.device.name)}"
    out.show(f"dcdnas search {shlex.quote(space)} -b 2ms {named}")


latency = {"measure": measure, "show": show, "slots": slots}


def _begun(file: Path, device: str | None) -> LatencyTable:
    """Reads the table that is in the file already, so that its times are kept; without a file, an empty table of the device.

    Raises:
        FileError: when the file is no latency table.
        UsageError: when it is of another device.
    """
    from dcdnas.core.files import is_file
    from dcdnas.cost.latency.device import Device
    from dcdnas.cost.latency.file import read_table
    from dcdnas.cost.latency.table import LatencyTable
    from dcdnas.errors import UsageError

    found = read_table(file) if is_file(file) else None
    if found and device in (None, found.device.name):
        return found
    if found and found.slots:
        raise UsageError(f"{file} has times of {found.device.name!r}, not of {device!r}. Name another file with -o.")
    return LatencyTable(Device(device or "cpu: my device", runtime="my runtime"))


def _write(to: Path, text: str) -> None:
    from dcdnas.core.files import make_folder, write_whole

    make_folder(to.absolute().parent)
    write_whole(to, text)


def _show(out: Output, table: LatencyTable, file: Path | None) -> None:
    c = table.correction
    by_operator = _by_operator(table)
    out.document(
        {
            "device": vars(table.device), "places": len(table.slots), "correction": vars(c), "file": file,
            "operators": {name: _summary(times) for name, times in by_operator.items()},
        }
    )  # fmt: skip
    out.show(f"Device     {table.device}")
    out.show(f"Layers     {len(table.slots):,} places with their operators", _operators(by_operator))
    out.show(f"Network    {c.factor:.3f} times the sum of its layers, and {c.per_slot / 1e3:.2f} us a layer")
    if c.error is None or c.order is None:
        out.show("Error      not known: the table was not compared with whole networks")
    else:
        out.show(
            f"Error      {100 * c.error:.1f} % on average over {c.networks} networks of {c.space}, each predicted by a fit to "
            f"the others; Kendall's tau {c.order:.2f}"
        )
    if file:
        out.show(f"File       {file}")


def _by_operator(table: LatencyTable) -> dict[str, list[Timing]]:
    found: dict[str, list[Timing]] = {}
    for (slot, choice), timing in table.slots.items():
        found.setdefault(slot.kind if slot.kind != "conv" and choice.operator == "static" else choice.operator, []).append(timing)
    return dict(sorted(found.items(), key=lambda entry: -len(entry[1])))


def _summary(times: list[Timing]) -> dict[str, Any]:
    medians = [t.median for t in times]
    spread = statistics.median(t.iqr / t.median for t in times)
    return {
        "places": len(times),
        "least": min(medians),
        "median": statistics.median(medians),
        "most": max(medians),
        "spread": spread,
    }


def _operators(by_operator: dict[str, list[Timing]]) -> Sheet:
    from dcdnas.cli._tables import table
    from dcdnas.core.units import quantity

    made = table("Operator", ">Places", ">Least", ">Median", ">Most", ">Quartiles apart")
    for name, times in by_operator.items():
        s = _summary(times)
        spans = [quantity("latency", s[key]) for key in ("least", "median", "most")]
        made.add_row(name, f"{s['places']:,}", *spans, f"{100 * s['spread']:.0f} %")
    return made
