"""Arguments and flags that several verbs share, defined once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Run = Annotated[str, typer.Argument(metavar="RUN", help="Name or folder of the run.", show_default=False)]
Source = Annotated[
    str,
    typer.Argument(
        metavar="RUN|CONFIG", help="A run (name or folder), or a model config (file or its folder).", show_default=False
    ),
]
ForData = Annotated[
    str | None,
    typer.Option(
        "-d", "--data", metavar="DATA", help="Data set whose channels and classes the networks are built for, as in a search."
    ),
]
Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        "-b",
        metavar="BUDGET",
        help="Upper bound or range of a cost, like 300MFLOPs, 5Mparams, 2ms or 250-300MFLOPs; repeatable.",
    ),
]
LatencyTable = Annotated[
    str | None,
    typer.Option(
        "--latency-table",
        metavar="FILE",
        help="File with the latencies of a device; without it, latency is measured on this machine's CPU with 1 thread.",
    ),
]
LatencyDevice = Annotated[
    str | None,
    typer.Option(
        "--latency-device",
        metavar="NAME",
        help="Name of the latency table's device, or a part of it; required when the table is of another machine.",
    ),
]
Count = Annotated[
    Literal["deploy", "training", "published"],
    typer.Option(
        "--count",
        help="Form of the dynamic layers whose FLOPs are counted. deploy: the cheapest, which budgets refer to; "
        "training: the one that training runs; published: the one of the published code.",
    ),
]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print the layers as CSV.")]
File = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="YAML file with settings; its keys are named like the flags."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another setting, like lr=0.05 of a training or width_mult=0.5 of a published network; repeatable.",
    ),
]
EXECUTION = "Execution"
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        help="Number of trainings that run at the same time; by default as many as fit.",
        rich_help_panel=EXECUTION,
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-trial",
        metavar="SHARE",
        help="GPUs for each training, also a share like 0.5; by default 1 where there is a GPU.",
        rich_help_panel=EXECUTION,
    ),
]
Cpus = Annotated[
    float | None,
    typer.Option("--cpus-per-trial", metavar="N", help="CPU threads for each training; by default 1.", rich_help_panel=EXECUTION),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Address of a Ray cluster to use, or auto for one that runs here.",
        rich_help_panel=EXECUTION,
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="EXECUTOR",
        help="What runs the trainings: ray (default), local (worker processes), inline (this process) or tabular (looks results "
        "up in a benchmark's table).",
        rich_help_panel=EXECUTION,
    ),
]
Table = Annotated[
    str | None,
    typer.Option(
        "--table",
        metavar="FILE",
        help="File with a benchmark's table, for --executor tabular; by default the one that is shipped or was downloaded.",
        rich_help_panel=EXECUTION,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="TIME", help="End the search after this time, like 2h.", rich_help_panel=EXECUTION),
]
SearchPatience = Annotated[
    int | None,
    typer.Option(
        "--patience", metavar="N", min=0,
        help="End the search when N trainings in a row have not changed the Pareto front; 0 for no limit.",
        rich_help_panel=EXECUTION,
    ),
]  # fmt: skip
FidelityCheck = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=3,
        help="After the search, train N of its networks longer, as `dcdnas fidelity` does.",
        rich_help_panel=EXECUTION,
    ),
]
Log = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TRACKER", help="Log to tensorboard, wandb or mlflow; several separated by commas.", rich_help_panel=EXECUTION
    ),
]
Dashboard = Annotated[
    bool, typer.Option("--dashboard", help="Serve the dashboard's pages while the search runs.", rich_help_panel=EXECUTION)
]
RECIPE = "The short training of each network"
Epochs = Annotated[
    int | None, typer.Option(metavar="N", help="Epochs of each training; by default those of the space.", rich_help_panel=RECIPE)
]
Resolution = Annotated[
    int | None,
    typer.Option(
        "--proxy-resolution",
        metavar="PIXELS",
        help="Side of the training images in pixels; by default that of the space.",
        rich_help_panel=RECIPE,
    ),
]
Classes = Annotated[
    int | None,
    typer.Option(
        "--proxy-classes",
        metavar="N",
        help="Number of the data's classes to train on, evenly spaced; by default all.",
        rich_help_panel=RECIPE,
    ),
]
DAMAGED = "Number or share of damaged pictures that may be skipped, like 12 or 1%; by default none."
SkipDamaged = Annotated[str | None, typer.Option("--skip-damaged", metavar="N|N%", help=DAMAGED)]
SkipDamagedInTrainings = Annotated[
    str | None, typer.Option("--skip-damaged", metavar="N|N%", help=DAMAGED, rich_help_panel=RECIPE)
]
SkipDamagedInCalibration = Annotated[
    str | None,
    typer.Option(
        "--skip-damaged",
        metavar="N|N%",
        help="Number or share of damaged pictures that --quantize may skip, like 12 or 1%; by default that of the training.",
    ),
]
SkipDamagedAsInTraining = Annotated[
    str | None,
    typer.Option(
        "--skip-damaged",
        metavar="N|N%",
        help="Number or share of damaged pictures that may be skipped, like 12 or 1%; by default that of the training.",
    ),
]
TrialTimeout = Annotated[
    str | None, typer.Option(metavar="TIME", help="Stop a training as hung after this time, like 10m.", rich_help_panel=RECIPE)
]
