"""`dcdnas search`: from a space and a budget to a front of networks."""

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
    typer.Argument(metavar="SPACE", help="A shipped space or a space file; else the smallest shipped one that holds the budget."),
]
Data = Annotated[
    str | None,
    typer.Option(
        "-d", "--data", metavar="DATA", help="Images, like cifar10:DIR; they decide the networks' classes and channels."
    ),
]
Name = Annotated[
    str | None, typer.Option("--name", metavar="RUN", help="Of the run's folder; made of space, budget and a number.")
]
StartFrom = Annotated[
    str | None, typer.Option(metavar="RUN", help="An earlier run, whose front is trained first where the space has it.")
]
Sampler = Annotated[
    str | None,
    typer.Option(metavar="SAMPLER", help="auto (default), model, tpe, evolution, nsga2 or random; `dcdnas list samplers`."),
]
Confirm = Annotated[
    int | None, typer.Option(metavar="N", help="Fresh seeds for the networks believed best, 3 when left out; 0 for none.")
]
KeepWeights = Annotated[
    Literal["front", "all", "none"] | None,
    typer.Option(metavar="front|all|none", help="Whose trained weights the run keeps; of the front when left out."),
]
EarlyStopping = Annotated[
    bool | None,
    typer.Option(
        "--early-stopping/--no-early-stopping", help="Stop networks that are behind others of like cost after a short training."
    ),
]
Task = Annotated[str | None, typer.Option(metavar="FILE|NAME", help="A task of your own, my_task.py; else that of the images.")]
Maximize = Annotated[list[str] | None, typer.Option(metavar="NAME", help="A further objective of the task; repeatable.")]
Minimize = Annotated[list[str] | None, typer.Option(metavar="NAME", help="A further cost, or objective; repeatable.")]


NO_SETTINGS = ("out", "config", "assignments", "dashboard", "dry_run", "fidelity_check")


def search(
    out: Output,
    space: Space = None,
    budget: Budgets = None,
    trials: Annotated[int | None, typer.Option("-n", "--trials", metavar="N", help="Trainings to end, 50 when left out.")] = None,
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
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of the sampler and all trainings, 0 when left out.")] = None,
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
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be searched and how long it takes.")] = False,
) -> None:
    """Search for the best networks within a budget.

    Every network is priced before it is trained; what is over budget is never trained. Those believed best are trained again
    on fresh seeds and held against the best network without dynamic layers. Ctrl-C keeps everything: `dcdnas resume RUN`.
    Settings come from flags, then --set, the -c file, dcdnas.yaml and defaults.

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
