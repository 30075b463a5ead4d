"""`dcdnas reproduce`: trains one network of a run again and compares its results with the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from dcdnas.cli._options import Cpus, Gpus, Run
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.core.objective import Objective
    from dcdnas.core.trial import EpochResult

__all__ = ["reproduce"]

PANEL = "Results"


def reproduce(
    out: Output,
    run: Run,
    trial: Annotated[
        str, typer.Option("--trial", "-t", metavar="N|best|knee", help="Trial of the run: its number, best or knee.")
    ] = "best",
    cpus_per_trial: Cpus = None,
    gpus_per_trial: Gpus = None,
) -> None:
    """Train one network of a run again exactly as it was trained, and compare every epoch with the record.

    The exit code is 1 when a value differs. What differs between this machine and the run's (images, versions, processor,
    kernels) is listed. The run is not changed.

    Example:  dcdnas reproduce quick --trial 3
    """
    from dcdnas.cli._source import offer_plugins_of
    from dcdnas.engine.planning import in_this_process
    from dcdnas.engine.proxy_training import ProxyTraining
    from dcdnas.engine.reproduce import reproduce as train_again
    from dcdnas.engine.reproduce import task_to_repeat
    from dcdnas.results import load_run
    from dcdnas.tasks import SHARES

    found = load_run(run)
    offer_plugins_of(found)
    chosen = found.trial(trial)
    how = in_this_process({"cpus_per_trial": cpus_per_trial, "gpus_per_trial": gpus_per_trial})
    task_to_repeat(found.folder, chosen)
    threads = max(1, int(how.cpus_per_trial))
    out.note(f"Training   trial {chosen.number} of {found.name} again, on {how.device}, with {threads} of its threads")

    def tell(reached: EpochResult) -> None:
        out.detail(f"epoch {reached.epoch}")

    again = train_again(found.folder, chosen, ProxyTraining(how.device, threads), tell)
    out.document(
        {
            "run": found.name, "trial": chosen.number, "equal": again.equal, "largest_difference": again.largest,
            "there": dict(chosen.score.values) if chosen.score else {}, "here": dict(again.score.values),
            "elsewhere": list(again.elsewhere),
        }
    )  # fmt: skip
    known = {**({} if found.own_task else SHARES), **{o.name: o for o in found.goals.objectives}}
    for there, here in again.pairs:
        out.show(f"Epoch {here.epoch:3}  {compared(known, there, here)}")
    for line in again.elsewhere:
        out.show(f"Differs    {line}")
    if again.equal:
        out.show("The training was reproduced to the last bit.")
        return
    same = " Images, versions, processor and kernels are those of the run: was it trained on another device?"
    why = "" if again.elsewhere else same
    out.show(f"The training was not reproduced.{why}")
    raise typer.Exit(1)


def compared(known: Mapping[str, Objective], there: EpochResult, here: EpochResult) -> str:
    """Describes an epoch's values in the record, and those of the repetition where they differ.

    Args:
        known: objectives by name, which write their values; all other values are written as plain numbers.
        there: the epoch in the record.
        here: the same epoch of the repetition.
    """

    def said(reached: EpochResult) -> str:
        return ", ".join(known[k].named(v) if k in known else f"{k} {v:.6g}" for k, v in reached.values.items())

    if dict(there.values) == dict(here.values):
        return f"{said(there)}: the same"
    now = said(here)
    return f"{now}; it differs in later digits" if now == said(there) else f"{said(there)}; now {now}"
