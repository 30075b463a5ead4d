"""`dcdnas tune-forms`: measures which form of each dynamic layer is fastest on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import Assignments
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._tables import Sheet
    from dcdnas.core.architecture import Architecture
    from dcdnas.cost.latency.device import Device
    from dcdnas.training.form_tuning import LayerForms

__all__ = ["tune_forms"]

PANEL = "Networks"


def tune_forms(
    out: Output,
    source: Annotated[
        str,
        typer.Argument(
            metavar="RUN|CONFIG|PRESET",
            help="A run, a model config, or a published network (`dcdnas list presets`).",
            show_default=False,
        ),
    ],
    trial: Annotated[
        str, typer.Option("--trial", "-t", metavar="N|best|knee", help="Trial of a run: its number, best (default) or knee.")
    ] = "",
    assignments: Assignments = None,
    batch: Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Batch size.")] = 1,
    threads: Annotated[int, typer.Option("--threads", metavar="N", min=1, help="CPU threads to use.")] = 1,
    device: Annotated[str, typer.Option("--device", metavar="cpu|cuda", help="Device that the network will run on.")] = "cpu",
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure everything again, ignoring stored times.")] = False,
) -> None:
    """Measure the equivalent forms of a network's dynamic layers on this machine, and the network with the fastest ones.

    A dynamic convolution can be computed in several ways, its forms, which give the same output. A rule chooses the form that
    runs; on your device and at your batch size another one may be faster. A program selects the fastest forms with one line,
    which is printed; the times are stored, so that it need not measure again. Outputs, counts and exported files do not change.

    Example:  dcdnas tune-forms dcd/mobilenetv2_dcd --batch 16
    """
    import copy

    from dcdnas.cli._measuring import measuring
    from dcdnas.cost.latency import time_networks
    from dcdnas.cost.latency.device import this_device
    from dcdnas.errors import UsageError
    from dcdnas.networks import build_network
    from dcdnas.training.form_tuning import tune_forms

    architecture = _architecture(source, trial, assignments or [])
    target = this_device(device, threads, batch)
    network = build_network(architecture).to(device).deploy()
    ruled = copy.deepcopy(network)
    with measuring(out) as told:
        rows = tune_forms(network, batch, threads, fresh, lambda share: told(f"forms of {source} on {target}", share))
    if not rows:
        raise UsageError(f"{source} has no layer with more than one form, so there is nothing to choose.")
    before, after = time_networks([ruled, network], target)
    _show(out, source, target, rows, (before.median, after.median))


def _architecture(source: str, trial: str, assignments: Sequence[str]) -> Architecture:
    from dcdnas.cli._source import is_preset, open_source, preset_settings
    from dcdnas.errors import UsageError

    if is_preset(source):
        from dcdnas.published import architecture

        if trial:
            raise UsageError(f"--trial needs a run, and {source} is a published network. Leave --trial out.")
        return architecture(source, **preset_settings(assignments))
    if assignments:
        raise UsageError(f"--set sets a published network's settings, and {source} is not one. `dcdnas list presets` shows them.")
    if trial == "front":
        raise UsageError("--trial front is several networks, and one is tuned. Give a trial's number, best or knee.")
    return open_source(source, trial)[0].architecture


def _show(out: Output, source: str, device: Device, rows: Sequence[LayerForms], whole: tuple[float, float]) -> None:
    from dcdnas.core.units import quantity
    from dcdnas.operators import Operator
    from dcdnas.training.form_tuning import fitted_balance

    before, after = whole
    balance, fitted, present = fitted_balance(rows)
    out.document(
        {
            "source": source, "device": asdict(device), "network": {"before": before, "after": after},
            "balance": {"present": Operator.BALANCE, "loss": present, "fitted": balance, "loss_fitted": fitted},
            "layers": [_row(row) for row in rows],
        }
    )  # fmt: skip
    changed = sum(len(row.names) for row in rows if row.chosen != row.ruled)
    out.show(f"{source} on {device}", _table(rows))
    out.show(
        f"{changed} of {sum(len(row.names) for row in rows)} layers are faster in another form than the one the rule chooses. "
        f"The whole network takes {quantity('latency', after)} with them, {quantity('latency', before)} without."
    )
    out.show(f"By the rule the layers take {_more(present)} longer than in their fastest forms (geometric mean).")
    if balance != Operator.BALANCE:
        out.show(
            f"The rule counts writing an element as {Operator.BALANCE} multiply-adds. With {balance} it would lose "
            f"{_more(fitted)} here: dcdnas.operators.Operator.BALANCE = {balance}"
        )
    used = f"batch={device.batch}, threads={device.threads}"
    out.show(f"In a program: network = network.deploy(); dcdnas.tune_forms(network, {used})")


def _more(times: float) -> str:
    return f"{100 * (times - 1):.1f} %"


def _table(rows: Sequence[LayerForms]) -> Sheet:
    from dcdnas.cli._tables import table
    from dcdnas.core.units import quantity

    made = table("Operator", "Place", ">Layers", "Rule", ">Time", "Fastest", ">Time", ">Times faster")
    for row in rows:
        ruled, chosen = row.times[row.ruled].median, row.times[row.chosen].median
        better = (row.chosen, quantity("latency", chosen), f"{ruled / chosen:.2f}") if row.chosen != row.ruled else ("", "", "")
        made.add_row(row.operator, str(row.geometry), str(len(row.names)), row.ruled, quantity("latency", ruled), *better)
    return made


def _row(row: LayerForms) -> dict[str, Any]:
    times = {form: {"median": timing.median, "iqr": timing.iqr} for form, timing in row.times.items()}
    place = str(row.geometry)
    return {
        "names": row.names,
        "operator": row.operator,
        "place": place,
        "rule": row.ruled,
        "fastest": row.chosen,
        "forms": times,
    }
