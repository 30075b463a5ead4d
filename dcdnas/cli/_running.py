"""Runs a search from a command: announces it, shows its progress, stops it on Ctrl-C, and prints its result."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from dcdnas.cli._app import INTERRUPTED
from dcdnas.cli._live_pages import check_pages, pages
from dcdnas.cli._output import Output
from dcdnas.cli._progress import watcher
from dcdnas.cli._summary import summarise
from dcdnas.cli.fidelity import check, check_wanted
from dcdnas.core.units import tally
from dcdnas.engine.beginning import begun, other_kernels
from dcdnas.engine.execution import Execution
from dcdnas.engine.planning import Plan
from dcdnas.engine.run import search
from dcdnas.errors import DcdnasError
from dcdnas.pages.run_files import write_results
from dcdnas.results import load_run


def start(out: Output, plan: Plan, dashboard: bool = False, fidelity_check: int | None = None) -> None:
    """Creates or continues the plan's run and searches until it ends.

    Args:
        out: output for progress and results.
        plan: plan of the search.
        dashboard: whether to serve the pages of the run during the search.
        fidelity_check: number of networks that are trained longer afterwards; None for none.

    Raises:
        Resumable: when the search was interrupted.
    """
    check_pages(dashboard)
    check_wanted(plan, fidelity_check)
    existed = plan.folder.exists()
    plan = begun(plan)
    out.note(f"Run        {plan.folder}{' (continued)' if existed else ''}")
    out.note(f"Space      {plan.space.name}: {plan.space.description or plan.space.named}")
    out.note(f"Budget     {', '.join(map(str, plan.config.budgets)) or 'none'}")
    out.note(f"Data       {plan.data}")
    if plan.table:
        out.note(f"Latency    predicted for {plan.table.device}")
    out.note(f"Machine    {plan.machine}")
    for note in plan.notes:
        out.warn(f"Note: {note}")
    out.line({"event": "start", "run": plan.folder.name, "folder": plan.folder, "space": plan.space.name, "notes": plan.notes,
              "budgets": [str(b) for b in plan.config.budgets], "trials": plan.config.trials})  # fmt: skip
    go(out, plan.folder, plan.execution, dashboard)
    if fidelity_check:
        check(out, load_run(plan.folder), plan.execution, fidelity_check)


def go(
    out: Output,
    folder: Path,
    execution: Execution,
    dashboard: bool = False,
    retry_failed: bool = False,
    trials: int | None = None,
) -> None:
    """Searches an existing run; whatever stops the search, its results are written and printed before an error is raised.

    Args:
        out: output for progress and results.
        folder: folder of the run.
        execution: how trainings are executed.
        dashboard: whether to serve the pages of the run during the search.
        retry_failed: whether failed networks are trained again.
        trials: number of trainings in total; None for that of the run.
    """
    check_pages(dashboard)
    problem: DcdnasError | None = None
    kernels = other_kernels(folder)
    if kernels:
        out.warn(f"Note: {kernels}")
    interrupts = Interrupts(out)
    with pages(out, folder, dashboard), watcher(out, folder.name) as watch:
        try:
            search(folder, execution, watch, interrupts, retry_failed, trials)
        except DcdnasError as error:
            problem = error
    interrupts.watch_the_rest()
    run = load_run(folder)
    results = write_results(run) if run.ended else None
    if problem is None and results:
        summarise(out, run, results)
        return
    out.line({"event": "end", "run": run.name, "status": run.status, "ending": run.ending,
              "reason": str(problem or run.reason), "states": run.counts})  # fmt: skip
    out.note(f"Trials     {tally(run.counts)}")
    if problem:
        raise problem


class Interrupts:
    """Handles Ctrl-C during a search: the first ends the search and keeps everything, the second terminates the process at once.

    The engine catches the signals while it searches and calls this object; before and after, Python's own handling is in place.
    """

    def __init__(self, out: Output) -> None:
        self.out, self.interrupted = out, False

    def __call__(self, times: int) -> None:
        """Reacts to a signal; `times` counts the signals so far."""
        self.interrupted = True
        if times == 1:
            self.out.warn("Stopping; all finished trainings are kept. Press Ctrl-C again to quit at once.")
            return
        self.quit()

    def watch_the_rest(self) -> None:
        """After an interrupted search, lets another Ctrl-C terminate the process while the results are written."""
        if self.interrupted:
            signal.signal(signal.SIGINT, self.quit)

    def quit(self, *_: object) -> None:
        """Terminates the process without clean-up: the run's store is always consistent, and workers end with this process."""
        os._exit(INTERRUPTED)
