"""`dcdnas list`: lists the available operators, networks, spaces and other entries."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from dcdnas.cli._entries import Entry, entries, outside_entries
from dcdnas.cli._output import Output

__all__ = ["list_"]

PANEL = "Spaces and data"

Kind = Literal[
    "operators", "networks", "metrics", "samplers", "executors", "trackers", "spaces", "data", "tasks", "presets", "recipes"
]  # fmt: skip

AUTO = (
    "By default, `--sampler auto` chooses among them: model for a search of 24 or more trainings with one objective, else tpe. "
    "The run records which."
)
"""What is said below the samplers."""


def list_(
    out: Output,
    kind: Annotated[
        Kind, typer.Argument(metavar="KIND", help="What to list, like operators or samplers; all kinds are named above.")
    ],
) -> None:
    """List the operators, networks, metrics, samplers, executors, trackers, spaces, data, tasks, presets or recipes.

    Operators and networks are listed with the settings that a search may choose and their defaults, presets with the settings
    that --set takes. Entries of installed packages are listed by name, and those of your own files with --plugin FILE.

    Example:  dcdnas list operators
    """
    from rich import box
    from rich.table import Table

    found = _entries(kind)
    out.document(
        [
            {
                "name": e.name,
                "about": e.about,
                "settings": [{"name": n, "allowed": a, "default": d} for n, a, d in e.dimensions],
            }
            for e in found
        ]
    )
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("Name", no_wrap=True)
    made.add_column("What it is")
    for entry in found:
        settings = [f"  {n}: {a}{f' (default {d})' if d else ''}" for n, a, d in entry.dimensions]
        if kind == "presets":
            settings = ["  " + ", ".join(f"{n}={d}" for n, _, d in entry.dimensions)]
        made.add_row(entry.name, "\n".join([entry.about, *settings]))
    out.show(made)
    if kind == "samplers":
        out.show(AUTO)


def _entries(kind: Kind) -> list[Entry]:
    own = outside_entries(kind)
    return sorted([*entries(kind), *own], key=lambda e: e.name) if own else entries(kind)
