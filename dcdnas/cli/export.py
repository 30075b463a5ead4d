"""`dcdnas export`: networks of a run as files that stand alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import Budgets, Source
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._source import Source as Found
    from dcdnas.export import Written

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
        str,
        typer.Option(
            "--to",
            metavar="FORMATS",
            help="config, torch, standalone, pt2, onnx, executorch, with commas; left out: config, and with trained weights "
            "torch, pt2 and onnx.",
        ),
    ] = "",
    standalone: Annotated[
        bool, typer.Option("--standalone", help="Also network.py: plain PyTorch that needs torch and the weights alone.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where to.")] = Path("exported"),
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Trained weights, .safetensors; needed by torch, wished for by the programs."),
    ] = None,
    licence: Annotated[str, typer.Option("--license", metavar="NAME", help="Of the weights, for the model card.")] = "",
) -> None:
    """Write a network as a folder that stands alone: config, weights, programs, and a model card.

    A run exports the weights of its short trainings where it keeps them (--keep-weights) and they fit; --weights gives others.
    With --budget a finished run is cut again: the best within other bounds, nothing is trained. Every file is loaded again and
    compared at batch 1 and 8; the folder has all of the files in the end, or is as it was.

    Examples:  dcdnas export trained/quick-3/seed-0 -o net  |  dcdnas export quick -b 1MFLOPs --to config,onnx -o small
    """
    from dcdnas.cli._source import open_source
    from dcdnas.core.units import costs
    from dcdnas.export import read_formats
    from dcdnas.results.verdict import value_said

    asked = read_formats(to) if to else []
    found = open_source(source, trial, budget)
    documents = []
    for one in found:
        if one.run and one.trial:
            out.show(f"Trial {one.trial.number} of {one.run.name}: {value_said(one.run, one.trial)}; {costs(one.trial.cost)}")
        trained, note = (weights, "") if weights or asked == ["config"] else one.trained_weights()
        if note:
            out.note(note)
        formats = asked or _usual(out, trained)
        formats = read_formats(",".join([*formats, "standalone"])) if standalone else formats
        written = _written(out, one, output / one.name if len(found) > 1 else output, formats, trained, licence)
        for file in written:
            out.show(f"{file.path}: {file.said}")
        documents.append(_document(one, written))
    out.document(documents)


def _usual(out: Output, trained: Path | None) -> list[str]:
    """What is written when nothing is asked for."""
    from dcdnas.core.extras import EXTRAS, there

    if trained is None:
        return ["config"]
    if all(map(there, EXTRAS["onnx"])):
        return ["config", "torch", "pt2", "onnx"]
    out.note('Note: ONNX models are left out, since they need: pip install "dcdnas[onnx]"')
    return ["config", "torch", "pt2"]


def _written(
    out: Output, one: Found, folder: Path, formats: Sequence[str], trained: Path | None, licence: str
) -> Sequence[Written]:
    """Writes one network, with its card wherever there is a config."""
    from dcdnas.export import export_model
    from dcdnas.pages.card import CARD, replaceable, write_card

    model, carded = one.model(), "config" in formats
    if carded and not replaceable(folder):
        out.note(f"Note: {folder / CARD} is not by dcdnas; it stays as it is, and no model card is written.")
        carded = False
    known = trained is not None

    def card(made: Path, written: Sequence[Written]) -> Sequence[Written]:
        return write_card(model, made, written, known, licence) if carded else ()

    return export_model(model, folder, formats, trained, card)


def _document(one: Found, written: Sequence[Written]) -> dict[str, Any]:
    """What was written of one network, as plain data."""
    from dcdnas.results.verdict import evidence

    known: dict[str, Any] = {}
    if one.run and one.trial:
        name = one.run.objective.name
        known = {name: one.run.value(one.trial), f"{name}_from": evidence(one.run, one.trial)}
    return {"name": one.name, **known, "files": [{"path": f.path, "error": f.error, "said": f.said} for f in written]}
