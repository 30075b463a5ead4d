"""`dcdnas export`: networks of a run as files that stand alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dcdnas.cli._options import Budgets, Source
from dcdnas.cli._output import Output

__all__ = ["export"]

PANEL = "Networks"


def export(
    out: Output,
    source: Source,
    trial: Annotated[
        str, typer.Option("--trial", "-t", metavar="N|best|knee|front", help="Which of a run; the best when left out.")
    ] = "",
    budget: Budgets = None,
    to: Annotated[
        str, typer.Option("--to", metavar="FORMATS", help="config, torch, pt2, onnx, executorch; several with commas.")
    ] = "config",
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to.")] = Path("exported"),
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Trained weights, .safetensors; needed by torch, wished for by the programs."),
    ] = None,
) -> None:
    """Write a network as a config (YAML and JSON), as weights, .pt2, ONNX or ExecuTorch.

    A run exports the weights of its short trainings where it keeps them (--keep-weights) and they fit; --weights gives others.
    With --budget a finished run is cut again: the best within other bounds, nothing is trained. Every file is loaded again and
    compared before the command succeeds.

    Examples:  dcdnas export quick --trial front -o nets  |  dcdnas export quick -b 1MFLOPs --to config,onnx -o small
    """
    from dcdnas.cli._source import open_source
    from dcdnas.core.units import costs
    from dcdnas.export import export_model, read_formats
    from dcdnas.results.verdict import evidence, value_said

    formats = read_formats(to)
    found = open_source(source, trial, budget)
    documents = []
    for one in found:
        if one.run and one.trial:
            out.show(f"Trial {one.trial.number} of {one.run.name}: {value_said(one.run, one.trial)}; {costs(one.trial.cost)}")
        folder = output / one.name if len(found) > 1 else output
        trained, note = (weights, "") if weights or formats == ["config"] else one.trained_weights()
        if note:
            out.note(note)
        written = export_model(one.model(), folder, formats, trained)
        for file in written:
            out.show(f"{file.path}: {file.said}")
        known = (
            {
                (name := one.run.objective.name): one.run.value(one.trial),
                f"{name}_from": evidence(one.run, one.trial),
            }
            if one.run and one.trial
            else {}
        )
        documents.append(
            {"name": one.name, **known, "files": [{"path": f.path, "error": f.error, "said": f.said} for f in written]}
        )
    out.document(documents)
