"""`dcdnas search`: searches a space within a budget for the Pareto front of its networks."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dcdnas.cli._options import (
    Address,
    Assignments,
    Budgets,
    Classes,
    Cpus,
    Dashboard,
    Epochs,
    Executor,
    FidelityCheck,
    File,
    Gpus,
    Jobs,
    LatencyDevice,
    LatencyTable,
    Log,
    Resolution,
    SearchPatience,
    SkipDamagedInTrainings,
    Table,
    Timeout,
    TrialTimeout,
)
from dcdnas.cli._output import Output

__all__ = ["search"]

PANEL = "Search"


Space = Annotated[
    str | None,
    typer.Argument(
        metavar="SPACE",
        help="A shipped space or a space file; by default the smallest shipped space whose cost range contains the budget.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "-d",
        "--data",
        metavar="DATA",
        help="Data set to train on, like cifar10:DIR; it decides the networks' classes and channels; by default the space's.",
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        "--name", metavar="RUN", help="Name of the run's folder; by default made from the space, the budget and a number."
    ),
]
StartFrom = Annotated[
    str | None,
    typer.Option(metavar="RUN", help="An earlier run; the networks of its front that are in the space are tried first."),
]
Sampler = Annotated[
    str | None,
    typer.Option(
        metavar="SAMPLER",
        help="What proposes networks: auto (default), model, tpe, evolution, nsga2 or random; see `dcdnas list samplers`.",
    ),
]
Confirm = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Fresh seeds on which the seemingly best networks are trained again; by default 3, 0 for none."
    ),
]
KeepWeights = Annotated[
    Literal["front", "all", "none"] | None,
    typer.Option(metavar="front|all|none", help="Networks whose trained weights the run keeps; by default those on the front."),
]
EarlyStopping = Annotated[
    bool | None,
    typer.Option(
        "--early-stopping/--no-early-stopping",
        help="Stop trials early that are behind networks of similar cost after a short training; by default off.",
    ),
]
Task = Annotated[
    str | None,
    typer.Option(metavar="FILE|NAME", help="Task of your own, a file like my_task.py; by default the one that suits the data."),
]
Maximize = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Another objective of the task to maximise; repeatable.")
]
Minimize = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Another cost or objective to minimise; repeatable.")]


NO_SETTINGS = ("out", "config", "assignments", "dashboard", "dry_run", "fidelity_check")


def search(
    out: Output,
    space: Space = None,
    budget: Budgets = None,
    trials: Annotated[int | None, typer.Option("-n", "--trials", metavar="N", help="Trainings to finish; by default 50.")] = None,
    data: Data = None,
    resolution: Resolution = None,
    classes: Classes = None,
    skip_damaged: SkipDamagedInTrainings = None,
    name: Name = None,
    sampler: Sampler = None,
    task: Task = None,
    maximize: Maximize = None,
    minimize: Minimize = None,
    latency_table: LatencyTable = None,
    latency_device: LatencyDevice = None,
    start_from: StartFrom = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Seed of the sampler and of all trainings; by default 0.")] = None,
    confirm: Confirm = None,
    early_stopping: EarlyStopping = None,
    keep_weights: KeepWeights = None,
    epochs: Epochs = None,
    trial_timeout: TrialTimeout = None,
    config: File = None,
    assignments: Assignments = None,
    executor: Executor = None,
    table: Table = None,
    jobs: Jobs = None,
    cpus_per_trial: Cpus = None,
    gpus_per_trial: Gpus = None,
    address: Address = None,
    timeout: Timeout = None,
    patience: SearchPatience = None,
    log: Log = None,
    fidelity_check: FidelityCheck = None,
    dashboard: Dashboard = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be searched and how long it takes.")] = False,
) -> None:
    """Search for the best networks within a budget.

    Every network is priced before it is trained, and networks over the budget are never trained. The networks that seem best are
    trained again on fresh seeds and compared with the best network without dynamic layers. Ctrl-C keeps everything;
    `dcdnas resume RUN` continues. Flags take precedence over --set, then the -c file, dcdnas.yaml and the defaults.

    Example:  dcdnas search -b 2MFLOPs -n 24
    """
    flags = {k: v for k, v in locals().items() if k not in NO_SETTINGS}
    from dcdnas.cli._dry_run import describe
    from dcdnas.cli._measuring import measuring
    from dcdnas.cli._running import start
    from dcdnas.engine.planning import make_plan
    from dcdnas.engine.planning.settings import SearchSettings

    with measuring(out) as told:
        plan = make_plan(SearchSettings.gather(flags, assignments or (), config), told)
    if dry_run:
        describe(out, plan)
    else:
        start(out, plan, dashboard, fidelity_check)
