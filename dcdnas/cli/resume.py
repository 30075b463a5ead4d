"""`dcdnas resume`: continues a run that was interrupted, or extends one."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from dcdnas.cli._options import Address, Cpus, Dashboard, Executor, Gpus, Jobs, Log, Run, SearchPatience, Timeout
from dcdnas.cli._output import Output

__all__ = ["resume"]

PANEL = "Search"


def resume(
    out: Output,
    run: Run,
    trials: Annotated[
        str | None,
        typer.Option("-n", "--trials", metavar="N|+N", help="Number of trainings in total, or with a plus of additional ones."),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Also train failed networks again, after you removed the cause.")
    ] = False,
    executor: Executor = None,
    jobs: Jobs = None,
    cpus_per_trial: Cpus = None,
    gpus_per_trial: Gpus = None,
    address: Address = None,
    timeout: Timeout = None,
    patience: SearchPatience = None,
    log: Log = None,
    dashboard: Dashboard = False,
) -> None:
    """Resume a run exactly where it ended, with executor, --jobs and --patience of its last session unless others are given.

    Interrupted trainings are repeated, all others are kept; --retry-failed repeats failed ones, too. With --retry-failed and
    `--plugin my_task.py`, a corrected task file replaces the run's copy, provided that no training of the run has succeeded.

    Example:  dcdnas resume quick -n +50
    """
    flags = {k: v for k, v in locals().items() if k not in ("out", "run", "trials", "retry_failed", "dashboard")}
    from dcdnas.cli._running import go
    from dcdnas.cli._source import offer_plugins_of
    from dcdnas.engine.folders import setting_for
    from dcdnas.engine.mended import take_mended_task
    from dcdnas.engine.planning import as_before, chosen_execution, machine_in_words
    from dcdnas.engine.planning.settings import SearchSettings
    from dcdnas.errors import RunError
    from dcdnas.results import find_run, load_run
    from dcdnas.tasks import only_where_begun

    folder = find_run(run)
    before = load_run(folder)
    elsewhere = only_where_begun(before.own_task, before.name)
    if elsewhere:
        setting = setting_for(folder).strip()
        raise RunError(f"{before.name}: {elsewhere}{f' Both find it with {setting}.' if setting else ''}")
    if retry_failed:
        take_mended_task(folder)
        before = load_run(folder)
    offer_plugins_of(before)
    goal = before.asked if trials is None else wanted(trials, before.asked, before.ended)
    how = chosen_execution(as_before(SearchSettings.gather(flags), folder))
    out.note(f"Run        {folder}: {before.ended} of {goal} trainings have ended")
    out.note(f"Machine    {machine_in_words(how)}")
    out.line({"event": "start", "run": before.name, "folder": folder, "ended": before.ended, "trials": goal})
    go(out, folder, how, dashboard, retry_failed, goal)


def wanted(text: str, asked: int, ended: int) -> int:
    """Converts the value of ``-n`` to the total number of trainings.

    Raises:
        UsageError: when it cannot be parsed, or is less than the number of ended trainings.
    """
    from dcdnas.errors import UsageError

    number = text.removeprefix("+")
    if not re.fullmatch("[0-9]{1,15}", number) or not int(number):
        raise UsageError(f"-n {text}: cannot be read. Write the total number of trainings, or additional ones like +50.")
    total = asked + int(number) if text.startswith("+") else int(number)
    if total < ended:
        raise UsageError(f"-n {text}: {ended} trainings have ended already. Give at least that, or +N for N more.")
    return total
