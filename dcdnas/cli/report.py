"""`dcdnas report`: writes a run's pages as one HTML file."""

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
        typer.Option("--output", "-o", metavar="FILE", help="File to write; by default report.html in the run's folder."),
    ] = None,
    pdf_figures: Annotated[
        Path | None,
        typer.Option("--pdf-figures", metavar="DIR", help="Also write figures for a paper to this folder, as PDF and SVG."),
    ] = None,
) -> None:
    """Write a run's pages as one HTML file, which opens without a server or network, and its derived files.

    The derived files are pareto.csv and front/*.yaml in the run's folder. With -o only the HTML file is written.
    """
    from dcdnas.cli._source import offer_plugins_of
    from dcdnas.cli._verdict import show_verdict
    from dcdnas.core.units import counted
    from dcdnas.pages.figures import write_figures
    from dcdnas.pages.run_files import write_results
    from dcdnas.pages.single_file import write_report
    from dcdnas.results import load_run
    from dcdnas.results.verdict import Verdict

    found = load_run(run)
    offer_plugins_of(found)
    figures = write_figures(found, pdf_figures) if pdf_figures else []
    path = write_report(found, output) if output else write_results(found).page
    out.document({"run": found.name, "page": path, "front": len(found.front()), "figures": figures, **Verdict(found).document()})
    show_verdict(out, found)
    out.show(f"{path}: {counted(len(found.front()), 'network')} on the front of {counted(found.ended, 'training')}")
    if figures:
        out.show(f"{pdf_figures}: {', '.join(dict.fromkeys(f.stem for f in figures))}, each as PDF and SVG")
