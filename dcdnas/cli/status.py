"""`dcdnas status`: shows the status of all runs, or of one."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.results import Run

__all__ = ["status"]

PANEL = "Results"

EVERY = 2.0
"""Seconds between two lines of ``--watch``."""


def status(
    out: Output,
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Name or folder of a run; by default all runs are listed.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Print the status repeatedly until the run ends.")] = False,
) -> None:
    """Show the status of all runs, or of one run."""
    from dcdnas.cli._verdict import show_verdict
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
    out.show(*_head(found))
    show_verdict(out, found)
    out.show(*_lines(found))


def document(run: Run) -> dict[str, Any]:
    """Returns the status of a run as plain data."""
    from dcdnas.results.verdict import Verdict

    best = run.best
    return {
        "run": run.name, "status": run.status, "ending": run.ending, "reason": run.reason, "ended": run.ended, "asked": run.asked,
        **Verdict(run).document(), "states": run.counts,
        "cost": dict(best.cost.values) if best else None, "confirmed": len(run.confirmations), "unconfirmed": run.unconfirmed,
        "front": [t.number for t in run.front()], "hypervolume": run.hypervolume, "budgets": [str(b) for b in run.budgets],
        "created": run.created, "seconds": run.seconds, "folder": str(run.folder), "driver": run.driver, "problems": run.problems,
        "bytes": size_of(run.folder),
    }  # fmt: skip


def _all(out: Output) -> None:
    """Prints a table with one row per run; a damaged run gets a row with its problem and does not hide the others."""
    from dcdnas.cli._tables import table
    from dcdnas.core.files import runs_folder
    from dcdnas.errors import DcdnasError
    from dcdnas.results import load_run, run_folders

    made = table(
        "Run",
        "Status",
        ">Trainings",
        ">Best",
        "Cost of the best",
        "Budget",
        "Begun",
        spare=("Begun", "Cost of the best", "Budget"),
    )
    documents: list[dict[str, Any]] = []
    for folder in run_folders():
        try:
            found = load_run(folder.resolve(), outline=True)
            row, said = _row(found), document(found) if out.as_json else {}
        except Exception as error:  # one broken run must not hide the others
            reason = str(error) if isinstance(error, DcdnasError) else f"{type(error).__name__}: {error}"
            row, said = [folder.name, f"damaged: {reason}"], {"run": folder.name, "status": "damaged", "reason": reason}
        made.add_row(*row)
        documents.append(said)
    out.document(documents)
    if documents:
        out.show(made)
    else:
        out.show(f"No runs in {runs_folder()} yet. Begin with: dcdnas search -b 2MFLOPs")


def _row(run: Run) -> list[str]:
    """Returns the table row of a run."""
    from dcdnas.core.units import costs

    best = run.best
    begun = datetime.fromtimestamp(run.created).strftime("%Y-%m-%d %H:%M") if run.created else ""
    return [
        run.name, run.status, f"{run.ended}/{run.asked}", _best(run), costs(best.cost) if best else "",
        ", ".join(map(str, run.budgets)), begun,
    ]  # fmt: skip


def _best(run: Run) -> str:
    """Writes the objective of the best network, and the number of seeds or trainings behind it."""
    from dcdnas.core.units import counted

    best = run.best
    confirmed = run.confirmed_as(best) if best else None
    of = counted(len(confirmed.values), "seed") if confirmed else "1 training"
    return f"{run.objective.named(run.value(best))} ({of})" if best else ""


def _head(run: Run) -> list[str]:
    """Writes the lines with the run's folder, its status and its problems."""
    from dcdnas.core.trial import Ending

    where = f" by process {run.driver['pid']} on {run.driver['host']}" if run.driver else ""
    why = f" ({run.ended_early})" if run.ended_early and run.ending is not Ending.INTERRUPTED else ""
    said = [f"Run        {run.folder}", f"Status     {run.status}{where}{why}: {run.ended} of {run.asked} trainings have ended"]
    return said + [f"Damaged    {problem}" for problem in run.problems]


def _lines(run: Run) -> list[str]:
    """Writes the lines with the run's budget, trials, front, computing time and disk use."""
    from dcdnas.core.units import counted, duration, tally

    said = [
        f"Budget     {', '.join(map(str, run.budgets)) or 'none'}",
        f"Trials     {tally(run.counts)}",
        f"Front      {counted(len(run.front()), 'network')}, hypervolume {run.hypervolume:.3f}",
        f"Training   {duration(run.seconds)} {'from asking to telling' if run.trained_elsewhere else 'of computing'}",
        f"Disk       {disk_use(run)}",
    ]
    if run.status == "interrupted":
        said.append(f"Continue with: {run.to_go_on}")
    return said


def disk_use(run: Run) -> str:
    """Writes the size of a run's folder, and how much of it is kept weights."""
    from dcdnas.core.units import BYTES, counted
    from dcdnas.engine.weights import FOLDER

    weights = size_of(run.folder / FOLDER)
    kept = counted(sum(w.kept for w in run.weights), "training")
    of = f", {BYTES.write(weights)} of it the weights of {kept}" if weights else ""
    return f"{BYTES.write(size_of(run.folder))}{of}"


def size_of(folder: Path) -> int:
    """Size in bytes of all files in a folder and its subfolders; 0 if the folder does not exist."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # a running search may remove files
            total += path.lstat().st_size if path.is_file() else 0
    return total


def _line(run: Run) -> str:
    """Writes the status of a run in one line."""
    from dcdnas.core.units import tally

    best = f" | best {_best(run)}" if run.best else ""
    return f"{run.name} {run.status}: [{run.ended}/{run.asked}] {tally(run.counts)}{best}"
