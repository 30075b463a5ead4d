"""`dcdnas stop`: asks a running search to stop."""

from __future__ import annotations

from typing import Annotated

import typer

from dcdnas.cli._options import Run
from dcdnas.cli._output import Output

__all__ = ["stop"]

PANEL = "Search"


def stop(
    out: Output,
    run: Run,
    now: Annotated[bool, typer.Option("--now", help="Interrupt the running trainings; `dcdnas resume` repeats them.")] = False,
) -> None:
    """Ask a running search to stop, and keep its results.

    Running trainings may end first, unless --now is given. `dcdnas resume RUN` continues the search.
    """
    from dcdnas.core.lock import live_driver
    from dcdnas.engine.signals import request_stop
    from dcdnas.results import load_run

    found = load_run(run, outline=True)
    folder = found.folder
    holder = live_driver(folder)
    out.document({"run": folder.name, "running": holder is not None, "asked": bool(holder), "now": now})
    if holder is None:
        out.show(f"{folder.name} is not running: there is nothing to stop.")
        return
    request_stop(folder, now)
    when = "at once" if now else "when the trainings that are running have ended"
    by = f"process {holder['pid']} on {holder['host']}"
    out.show(f"{folder.name} ({by}) will stop {when}. Continue with: {found.to_go_on}")
