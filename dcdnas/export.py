"""From an architecture, and weights where there are any, to files that stand alone; each is loaded again and compared.

``config`` is YAML and JSON, ``torch`` the weights as safetensors, ``pt2`` a `torch.export` program, ``onnx`` an ONNX model;
the last two take any batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dcdnas.errors import FileError, MismatchError, UnknownNameError, UsageError
from dcdnas.model_config import Model, write_config
from dcdnas.networks import Network, build_network

WEIGHTS = "model.safetensors"
"""Name of the weights beside a config, as timm and the Hub call it."""


@dataclass(frozen=True)
class Written:
    """A file that was written and passed its check.

    Args:
        path: of the file.
        said: what was checked, in words.
        error: largest difference to the network's own outputs, relative to their size; None where nothing is computed.
    """

    path: Path
    said: str
    error: float | None = None


Writer = Callable[[Model, Path, Path | None], list[Written]]


def export_model(model: Model, folder: Path, formats: Sequence[str], weights: Path | None = None) -> list[Written]:
    """Writes a model in each of the formats.

    Args:
        model: to write.
        folder: for the files; is made.
        formats: names in `FORMATS`.
        weights: a safetensors file; without one a program has fresh random weights, and says so.

    Raises:
        MismatchError: when a file that was written does not compute what the network does.
        MissingPackageError: when a format needs a package that is not installed.
        UsageError: when weights are needed and not given, or a file cannot be written.
    """
    return [written for name in formats for written in FORMATS[name](model, folder, weights)]


def read_formats(text: str) -> list[str]:
    """The names of formats in a list with commas.

    Raises:
        UnknownNameError: suggesting the nearest.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise UnknownNameError("format", name, FORMATS)
    if not names:
        raise UsageError(f"--to names no format. Known: {', '.join(FORMATS)}.")
    return list(dict.fromkeys(names))


def load_weights(network: Network, path: Path) -> None:
    """Loads weights into a network.

    Raises:
        FileError: when the file is missing, no safetensors, or of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise FileError(f"{path}: cannot be read as safetensors: {error}.") from None
    mine = network.state_dict()
    problems = [f"{n} is missing" for n in mine if n not in state] + [f"{n} has no place" for n in state if n not in mine]
    problems += [
        f"{n} has shape {tuple(state[n].shape)} instead of {tuple(mine[n].shape)}"
        for n in mine
        if n in state and state[n].shape != mine[n].shape
    ]
    if problems:
        raise FileError(
            f"{path}: weights of another network: {'; '.join(problems[:5])}{' and more' if len(problems) > 5 else ''}."
        )
    network.load_state_dict(state)


def network_of(model: Model, weights: Path | None) -> Network:
    """The network in eval mode, with its weights where they are given."""
    network = build_network(model.architecture)
    if weights is not None:
        load_weights(network, weights)
    return network.eval()


def _config(model: Model, folder: Path, weights: Path | None) -> list[Written]:
    said = "builds the same network: same layers, parameters and FLOPs"
    return [Written(write_config(model, folder / name), said) for name in ("config.yaml", "config.json")]


def _torch(model: Model, folder: Path, weights: Path | None) -> list[Written]:
    """The weights, complete and checked against the network."""
    import torch
    from safetensors.torch import load_file, save_file

    if weights is None:
        raise UsageError(
            "--to torch writes trained weights, and none are given. `dcdnas train` makes some; give them with --weights."
        )
    network = network_of(model, weights)
    path = folder / WEIGHTS
    folder.mkdir(parents=True, exist_ok=True)
    save_file({n: t.contiguous() for n, t in network.state_dict().items()}, path, metadata={"format": "pt"})
    again = load_file(path)
    if not all(torch.equal(t, again[n]) for n, t in network.state_dict().items()):
        raise MismatchError(f"{path}: the weights that were read back are not those that were written.")
    return [Written(path, f"{len(again)} tensors, read back equal", 0.0)]


def _pt2(model: Model, folder: Path, weights: Path | None) -> list[Written]:
    from dcdnas.programs import write_pt2

    path = folder / "model.pt2"
    return [_computed(path, write_pt2(network_of(model, weights), model.architecture.input, path), weights)]


def _onnx(model: Model, folder: Path, weights: Path | None) -> list[Written]:
    from dcdnas.programs import write_onnx

    path = folder / "model.onnx"
    return [_computed(path, write_onnx(network_of(model, weights), model.architecture.input, path), weights)]


def _computed(path: Path, error: float, weights: Path | None) -> Written:
    untrained = "" if weights else "; the weights are random, since none were given (--weights)"
    return Written(path, f"computes the same at batch 1 and 8, largest relative error {error:.1e}{untrained}", error)


FORMATS: Mapping[str, Writer] = {"config": _config, "torch": _torch, "pt2": _pt2, "onnx": _onnx}
"""Name of each format and what writes it."""
