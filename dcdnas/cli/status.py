"""`dcdnas status`: the runs, or one run."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.results import Run

__all__ = ["status"]

PANEL = "Results"

EVERY = 2.0
"""Seconds between two looks of ``--watch``."""


def status(
    out: Output,
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run; all of them when left out.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look again until the run ends.")] = False,
) -> None:
    """Show how the runs stand, or one of them."""
    from dcdnas.errors import UsageError
    from dcdnas.results import load_run

    if run is None:
        if watch:
            raise UsageError("--watch needs a run: dcdnas status RUN --watch.")
        _all(out)
        return
    while watch:
        found = load_run(run, curves=False)
        out.line(document(found))
        out.note(_line(found))
        if found.status != "running":
            return
        time.sleep(EVERY)
    found = load_run(run, curves=False)
    out.document(document(found))
    for text in _lines(found):
        out.show(text)


def document(run: Run) -> dict[str, Any]:
    """A run's standing as plain data."""
    best = run.best
    return {
        "run": run.name, "status": run.status, "ending": run.ending, "reason": run.reason, "ended": run.ended, "asked": run.asked,
        "states": run.counts, "best": best.number if best else None,
        "accuracy": run.accuracy(best),
        "cost": dict(best.cost.values) if best else None, "confirmed": len(run.confirmations), "unconfirmed": run.unconfirmed,
        "front": [t.number for t in run.front()], "hypervolume": run.hypervolume, "budgets": [str(b) for b in run.budgets],
        "created": run.created, "seconds": run.seconds, "folder": str(run.folder), "driver": run.driver, "problems": run.problems,
    }  # fmt: skip


def _all(out: Output) -> None:
    """One row a run; a damaged one says so instead of hiding the others."""
    from dcdnas.cli._tables import table
    from dcdnas.core.files import runs_folder
    from dcdnas.core.units import costs, percent
    from dcdnas.errors import DcdnasError
    from dcdnas.results import load_run, run_folders

    made = table("Run", "Status", ">Trainings", ">Best", "Cost of the best", "Budget", "Begun")
    documents: list[dict[str, Any]] = []
    for folder in run_folders():
        try:
            found = load_run(folder.resolve(), outline=True)
        except DcdnasError as error:
            made.add_row(folder.name, f"damaged: {error}")
            documents.append({"run": folder.name, "status": "damaged", "reason": str(error)})
            continue
        best = found.best
        begun = datetime.fromtimestamp(found.created).strftime("%Y-%m-%d %H:%M") if found.created else ""
        made.add_row(
            found.name, found.status, f"{found.ended}/{found.asked}", percent(found.accuracy(best)),
            costs(best.cost) if best else "", ", ".join(map(str, found.budgets)), begun,
        )  # fmt: skip
        documents.append(document(found))
    out.document(documents)
    if documents:
        out.show(made)
    else:
        out.show(f"No runs in {runs_folder()} yet. Begin with: dcdnas search -b 2MFLOPs")


def _lines(run: Run) -> list[str]:
    """One run in a few lines."""
    from dcdnas.cli._verdict import verdict
    from dcdnas.core.trial import Ending
    from dcdnas.core.units import counted, duration, tally

    where = f" by process {run.driver['pid']} on {run.driver['host']}" if run.driver else ""
    why = f" ({run.ended_early})" if run.ended_early and run.ending is not Ending.INTERRUPTED else ""
    said = [f"Run        {run.folder}", f"Status     {run.status}{where}{why}: {run.ended} of {run.asked} trainings have ended"]
    said += [f"Damaged    {problem}" for problem in run.problems]
    said += [
        f"Budget     {', '.join(map(str, run.budgets)) or 'none'}",
        f"Trials     {tally(run.counts)}",
        f"Front      {counted(len(run.front()), 'network')}, hypervolume {run.hypervolume:.3f}",
        f"Training   {duration(run.seconds)} of computing",
        *verdict(run),
    ]
    if run.status == "interrupted":
        said.append(f"Go on with: {run.to_go_on}")
    return said


def _line(run: Run) -> str:
    """One run in one line."""
    from dcdnas.core.units import percent, tally

    best = f"best {percent(run.accuracy(run.best))} | hypervolume {run.hypervolume:.3f}"
    return f"{run.name} {run.status}: [{run.ended}/{run.asked}] {tally(run.counts)} | {best}"
