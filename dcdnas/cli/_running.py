"""Runs a search from a command: announces it, watches it, stops it on Ctrl-C, and says what came out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from dcdnas.cli._output import Output
from dcdnas.cli._progress import watcher
from dcdnas.cli._summary import summarise
from dcdnas.engine.execution import Execution
from dcdnas.engine.run import prepare, search
from dcdnas.errors import DcdnasError
from dcdnas.export import write_results
from dcdnas.planning import Plan
from dcdnas.report import load_run
from dcdnas.words import tally


def start(out: Output, plan: Plan) -> None:
    """Makes or continues the plan's run and searches it to its end.

    Raises:
        Resumable: when it was interrupted.
    """
    existed = plan.folder.exists()
    config = prepare(plan.folder, plan.config)
    out.note(f"Run        {plan.folder}{' (continued)' if existed else ''}")
    out.note(f"Space      {plan.space.name}: {plan.space.description or plan.space.network}")
    out.note(f"Budget     {', '.join(map(str, config.budgets)) or 'none'}")
    out.note(f"Data       {plan.data}")
    out.note(f"Machine    {plan.machine}")
    for note in plan.notes:
        out.warn(f"Note: {note}")
    out.line({"event": "start", "run": plan.folder.name, "folder": plan.folder, "space": plan.space.name, "notes": plan.notes,
              "budgets": [str(b) for b in config.budgets], "trials": config.trials})  # fmt: skip
    go(out, plan.folder, plan.execution)


def go(out: Output, folder: Path, execution: Execution) -> None:
    """Searches a run that exists; whatever stops it, what was found is written and said first."""
    problem: DcdnasError | None = None
    reason = ""
    with watcher(out, folder.name) as watch, gentle_interrupt(out):
        try:
            reason = search(folder, execution, watch)
        except DcdnasError as error:
            problem = error
    run = load_run(folder)
    results = write_results(run) if run.ended else None
    if problem is None and results:
        summarise(out, run, results, reason)
        return
    out.line({"event": "end", "run": run.name, "status": run.status, "reason": str(problem or reason), "states": run.counts})
    out.note(f"Trials     {tally(run.counts)}")
    if problem:
        raise problem


@contextmanager
def gentle_interrupt(out: Output) -> Iterator[None]:
    """Within, the first Ctrl-C ends the search with everything kept, and the second ends the process at once."""

    def first(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, second)
        out.warn("Stopping; what has ended is kept. Press Ctrl-C again to quit at once.")
        raise KeyboardInterrupt

    def second(number: int, frame: FrameType | None) -> None:
        # no clean-up may hang here: the memory is whole at any moment, and workers end when this process is gone
        os._exit(130)

    before = signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
