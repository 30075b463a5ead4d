"""`dcdnas report`: a run as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcdnas.cli._options import Run
from dcdnas.cli._output import Output

__all__ = ["report"]

PANEL = "Results"


def report(
    out: Output,
    run: Run,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The page; report.html in the run's folder when left out."),
    ] = None,
) -> None:
    """Write a run's page, which opens without a server or network, and its derived files.

    Those are pareto.csv and front/*.yaml in the run's folder. With -o only the page is written, there.
    """
    from dcdnas.cli._source import load_plugins_of
    from dcdnas.export import write_results
    from dcdnas.pages.single_file import write_report
    from dcdnas.report import load_run
    from dcdnas.words import counted

    found = load_run(run)
    load_plugins_of(found)
    path = write_report(found, output) if output else write_results(found).page
    out.document({"run": found.name, "page": path, "front": len(found.front())})
    out.show(f"{path}: {counted(len(found.front()), 'network')} on the front of {counted(found.ended, 'training')}")
