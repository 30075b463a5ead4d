"""`dcdnas export`: writes networks as self-contained folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dcdnas.cli._options import Budgets, SkipDamagedInCalibration, Source
from dcdnas.cli._output import Output

if TYPE_CHECKING:
    from dcdnas.cli._source import Source as Found
    from dcdnas.data import Split
    from dcdnas.export import Model, Written

__all__ = ["export"]

PANEL = "Networks"


def export(
    out: Output,
    source: Source,
    trial: Annotated[
        str, typer.Option("--trial", "-t", metavar="N|best|knee|front", help="Trial of a run, by default best; front: all on it.")
    ] = "",
    budget: Budgets = None,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMATS",
            help="Formats, separated by commas: config, torch, standalone, pt2, onnx, executorch; by default config, and with "
            "trained weights also torch, pt2 and onnx.",
        ),
    ] = "",
    standalone: Annotated[
        bool, typer.Option("--standalone", help="Also write network.py: plain PyTorch that needs only torch and the weights.")
    ] = False,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write to.")] = Path("exported"),
    weights: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Trained weights (safetensors); required by torch and standalone, else random."),
    ] = None,
    quantize: Annotated[
        str, typer.Option(metavar="int8", help="Also write model-int8.onnx, calibrated on training images; print its accuracy.")
    ] = "",
    data: Annotated[
        str | None, typer.Option("-d", "--data", metavar="DATA", help="Data set for --quantize; by default that of the training.")
    ] = None,
    skip_damaged: SkipDamagedInCalibration = None,
    licence: Annotated[str, typer.Option("--license", metavar="NAME", help="Licence of the weights, for the model card.")] = "",
) -> None:
    """Export a network as a self-contained folder: config, weights, programs and a model card.

    The weights of a run's short trainings are exported where the run keeps them (--keep-weights) and they fit; --weights gives
    others. --budget chooses the best trial of a run within other bounds than the search's, without training. Every file is
    loaded again and compared at batch 1 and 8. The folder receives all of the files, or stays as it was;
    what an earlier export of another network left there is removed.

    Examples:  dcdnas export trained/quick-3/seed-0 -o net  |  dcdnas export quick -b 1MFLOPs --to config,onnx -o small
    """
    from dcdnas.cli._source import open_source
    from dcdnas.errors import UsageError
    from dcdnas.export import read_formats

    if quantize not in ("", "int8"):
        raise UsageError(f"--quantize {quantize}: no such number format. Allowed: int8.")
    asked, more = read_formats(to) if to else [], ["standalone"] * standalone + ["onnx"] * bool(quantize)
    found = open_source(source, trial, budget)
    documents = []
    for one in found:
        trained = _weights(out, one, weights, asked == ["config"] and not more)
        formats = read_formats(",".join([*(asked or _usual(out, trained)), *more]))
        images = _calibrating(out, one, trained, data, skip_damaged) if quantize else None
        written = _written(out, one, output / one.name if len(found) > 1 else output, formats, trained, images, licence)
        for file in written:
            out.show(f"{file.path}: {file.said}")
        documents.append(_document(one, written))
    out.document(documents)


def _weights(out: Output, one: Found, given: Path | None, alone: bool) -> Path | None:
    """Prints which network is exported; returns its trained weights if there are any and not only a config is written."""
    from dcdnas.core.units import costs
    from dcdnas.export import other_size
    from dcdnas.results.verdict import value_said

    if given and (warning := other_size(given, one.architecture.input)):
        out.warn(warning)
    if one.run and one.trial:
        out.show(f"Trial {one.trial.number} of {one.run.name}: {value_said(one.run, one.trial)}; {costs(one.trial.cost)}")
    trained, note = (given, "") if given or alone else one.trained_weights()
    if note:
        out.note(note)
    return trained


def _usual(out: Output, trained: Path | None) -> list[str]:
    """Formats that are written by default."""
    from dcdnas.core.extras import EXTRAS, there

    if trained is None:
        return ["config"]
    if all(map(there, EXTRAS["onnx"])):
        return ["config", "torch", "pt2", "onnx"]
    out.note('Note: ONNX models are not written, because they need: pip install "dcdnas[onnx]"')
    return ["config", "torch", "pt2"]


def _written(
    out: Output,
    one: Found,
    folder: Path,
    formats: Sequence[str],
    trained: Path | None,
    images: Split | None,
    licence: str,
) -> Sequence[Written]:
    """Writes one network, with a model card if a config is written, and an int8 model if there are calibration images."""
    from dcdnas.export import CARD, export_model, of_weights
    from dcdnas.pages.card import replaceable, write_card

    model, carded = _model(one, trained), "config" in formats
    model = replace(model, provenance=of_weights(model.provenance, one.path, trained))
    if carded and not replaceable(folder):
        out.note(f"Note: {folder / CARD} was not written by dcdnas; it is kept, and no model card is written.")
        carded = False
    known = trained is not None

    def beside(made: Path, written: Sequence[Written]) -> Sequence[Written]:
        more = [_quantized(made, images)] if images else []
        return [*more, *(write_card(model, made, [*written, *more], known, licence) if carded else ())]

    return export_model(model, folder, formats, trained, beside)


def _model(one: Found, trained: Path | None) -> Model:
    """Returns the model to export, with the normalisation and the class names of the training of its weights, if it has any."""
    from dcdnas.export import as_trained, check_described

    if trained is None:
        return one.model()
    model = as_trained(one.model(), trained, one.path)
    check_described(model, trained)
    return model


def _quantized(made: Path, images: Split) -> Written:
    """Writes the int8 model beside the ONNX model."""
    from dcdnas.export.names import INT8, ONNX
    from dcdnas.export.quantize import write_int8

    return write_int8(made / ONNX, images, made / INT8)


def _calibrating(out: Output, one: Found, trained: Path | None, data: str | None, skip_damaged: str | None) -> Split:
    """Loads the images that the int8 model needs, see `dcdnas.cli._calibration`."""
    from dcdnas.cli._calibration import calibrating

    return calibrating(out, one.name, _model(one, trained), trained, data, skip_damaged)


def _document(one: Found, written: Sequence[Written]) -> dict[str, Any]:
    """Returns the files written for one network as plain data."""
    from dcdnas.results.verdict import evidence

    known: dict[str, Any] = {}
    if one.run and one.trial:
        name = one.run.objective.name
        known = {name: one.run.value(one.trial), f"{name}_from": evidence(one.run, one.trial)}
    return {"name": one.name, **known, "files": [{"path": f.path, "error": f.error, "said": f.said} for f in written]}
