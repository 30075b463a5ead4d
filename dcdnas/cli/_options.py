"""Flags that several verbs share, spelled once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

Run = Annotated[str, typer.Argument(metavar="RUN", help="Name or folder of the run.", show_default=False)]
Source = Annotated[str, typer.Argument(metavar="RUN|CONFIG", help="A run, or a model config's file.", show_default=False)]
ForData = Annotated[
    str | None,
    typer.Option("-d", "--data", metavar="DATA", help="Images whose channels and classes the networks have, as in a search."),
]
Budgets = Annotated[
    list[str] | None,
    typer.Option("--budget", "-b", metavar="BUDGET", help="Like 300MFLOPs, 5Mparams, 2ms or 250-300MFLOPs; repeatable."),
]
LatencyTable = Annotated[
    str | None,
    typer.Option("--latency-table", metavar="FILE", help="Latencies of a device; else this machine's CPU is measured, 1 thread."),
]
LatencyDevice = Annotated[
    str | None, typer.Option("--latency-device", metavar="NAME", help="Of another machine, when its table is meant.")
]
Count = Annotated[
    Literal["deploy", "training", "published"],
    typer.Option(
        "--count",
        help="Form that is counted: the cheapest, which budgets mean; what training runs; or what the published code runs.",
    ),
]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print the layers as CSV.")]
File = Annotated[Path | None, typer.Option("--config", "-c", metavar="FILE", help="YAML file of settings, named like the flags.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting, like lr=0.05 or batch_size=64; repeatable.")
]
EXECUTION = "How it is run"
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", "-j", metavar="N", help="Trainings at one time; as many as fit when left out.", rich_help_panel=EXECUTION
    ),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-trial",
        metavar="SHARE",
        help="Share of a GPU for a training, like 0.5; 1 where there is a GPU.",
        rich_help_panel=EXECUTION,
    ),
]
Cpus = Annotated[
    float | None,
    typer.Option("--cpus-per-trial", metavar="N", help="CPU threads of a training, 1 when left out.", rich_help_panel=EXECUTION),
]
Address = Annotated[
    str | None, typer.Option("--address", metavar="ADDRESS", help="A Ray cluster, or auto.", rich_help_panel=EXECUTION)
]
Executor = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="EXECUTOR",
        help="ray (default), local (worker processes), inline (this process) or tabular (looks results up in a table).",
        rich_help_panel=EXECUTION,
    ),
]
Table = Annotated[
    str | None,
    typer.Option(
        "--table",
        metavar="FILE",
        help="Of a benchmark, for --executor tabular; the one that was fetched when left out.",
        rich_help_panel=EXECUTION,
    ),
]
Timeout = Annotated[
    str | None,
    typer.Option("--timeout", metavar="TIME", help="Ends the search after this time, like 2h.", rich_help_panel=EXECUTION),
]
SearchPatience = Annotated[
    int | None,
    typer.Option(
        "--patience", metavar="N", min=1, help="Ends the search when N trainings have left the front as it was.",
        rich_help_panel=EXECUTION,
    ),
]  # fmt: skip
FidelityCheck = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=3, help="At its end, trains N networks longer, as `dcdnas fidelity` does.", rich_help_panel=EXECUTION
    ),
]
Log = Annotated[
    list[str] | None,
    typer.Option(metavar="TRACKER", help="Tell tensorboard, wandb, mlflow; several with commas.", rich_help_panel=EXECUTION),
]
Dashboard = Annotated[
    bool, typer.Option("--dashboard", help="Serve the pages of the runs while it searches.", rich_help_panel=EXECUTION)
]
RECIPE = "The short training of each network"
Epochs = Annotated[
    int | None, typer.Option(metavar="N", help="Of a training; the space says it when left out.", rich_help_panel=RECIPE)
]
Resolution = Annotated[
    int | None,
    typer.Option(
        "--proxy-resolution",
        metavar="PIXELS",
        help="Side of the images; the space says it when left out.",
        rich_help_panel=RECIPE,
    ),
]
Classes = Annotated[
    int | None,
    typer.Option("--proxy-classes", metavar="N", help="Of the data, evenly spaced; all when left out.", rich_help_panel=RECIPE),
]
DAMAGED = "Damaged pictures that may be left out, like 12 or 1%; none when left out."
SkipDamaged = Annotated[str | None, typer.Option("--skip-damaged", metavar="N|N%", help=DAMAGED)]
SkipDamagedInTrainings = Annotated[
    str | None, typer.Option("--skip-damaged", metavar="N|N%", help=DAMAGED, rich_help_panel=RECIPE)
]
TrialTimeout = Annotated[
    str | None, typer.Option(metavar="TIME", help="Gives a training up as hung, like 10m.", rich_help_panel=RECIPE)
]
