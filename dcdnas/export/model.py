"""From an architecture, and weights where there are any, to files that stand alone; each is loaded again and compared.

``config`` is YAML and JSON, ``torch`` the weights as safetensors, ``standalone`` a file of plain PyTorch for them, ``pt2`` a
`torch.export` program for any batch size, ``onnx`` an ONNX model for any batch size and a faster one for one image,
``executorch`` a program for phones. A config alone needs no torch, so only what does imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dcdnas.errors import MismatchError, UnknownNameError, UsageError
from dcdnas.export.config import Model, write_config
from dcdnas.export.files import finished, whole

if TYPE_CHECKING:
    from dcdnas.core.architecture import Architecture
    from dcdnas.data import Images
    from dcdnas.networks import Network

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


class Export:
    """One export of a model; what several formats need is made once.

    Args:
        model: to write.
        folder: for the files.
        weights: a safetensors file; None for fresh random ones.
    """

    def __init__(self, model: Model, folder: Path, weights: Path | None = None) -> None:
        self.model, self.folder, self.weights = model, folder, weights

    @cached_property
    def network(self) -> Network:
        """In eval mode, with its weights where they are given."""
        from dcdnas.networks import build_network

        network = build_network(self.model.architecture)
        if self.weights is not None:
            load_weights(network, self.weights)
        return network.eval()

    def config(self) -> list[Written]:
        """The architecture with its cost and provenance, as YAML and JSON."""
        said = "builds the same network: same layers, parameters and FLOPs"
        return [Written(write_config(self.model, self.folder / name), said) for name in ("config.yaml", "config.json")]

    def torch(self) -> list[Written]:
        """The weights, complete and checked against the network."""
        if self.weights is None:
            raise UsageError(
                "torch and standalone write trained weights, and there are none. `dcdnas train` makes them: export the folder "
                f"that it wrote (with config.yaml and {WEIGHTS}), or name a file with --weights."
            )
        return [save_weights(self.network, self.folder / WEIGHTS, self.model.metadata())]

    def standalone(self) -> list[Written]:
        """One file of plain PyTorch, which reads the weights beside it."""
        from dcdnas.export.programs import compared
        from dcdnas.export.standalone import write_standalone
        from dcdnas.tracing.programs import traced

        path, weights = self.folder / "network.py", self.folder / WEIGHTS
        written = [] if weights.is_file() else self.torch()
        program = traced(self.network, self.model.architecture.input)
        error = write_standalone(program, self.network, self.model, path, weights, compared)
        said = f"needs only torch and {WEIGHTS}; computes the same at batch 1 and 8"
        return [*written, self._computed(path, error, said)]

    def pt2(self) -> list[Written]:
        """A `torch.export` program."""
        from dcdnas.export.programs import write_pt2
        from dcdnas.tracing.programs import traced

        path = self.folder / "model.pt2"
        program = traced(self.network.deploy(), self.model.architecture.input)
        return [self._computed(path, write_pt2(program, self.network, self.model, path))]

    def onnx(self) -> list[Written]:
        """An ONNX model for any batch size, and one for one image at a time, in which dynamic layers are faster."""
        from dcdnas.export.programs import write_onnx

        path, one = self.folder / "model.onnx", self.folder / "model-batch1.onnx"
        shipped = self.network.deploy()
        written = [self._computed(path, write_onnx(shipped, self.network, self.model, path))]
        error = write_onnx(shipped, self.network, self.model, one, for_one=True)
        return [*written, self._computed(one, error, "takes one image at a time, faster than model.onnx; computes the same")]

    def executorch(self) -> list[Written]:
        """An ExecuTorch program for one image at a time."""
        from dcdnas.export.programs import write_executorch

        path = self.folder / "model.pte"
        error = write_executorch(self.network.deploy(), self.model.architecture.input, path)
        return [self._computed(path, error, "takes one image at a time; computes the same")]

    def _computed(self, path: Path, error: float, said: str = "computes the same at batch 1 and 8") -> Written:
        untrained = "" if self.weights else "; its weights are random, since none were given (--weights)"
        return Written(path, f"{said}, largest relative error {error:.1e}{untrained}", error)


FORMATS: Mapping[str, Callable[[Export], list[Written]]] = {
    "config": Export.config,
    "torch": Export.torch,
    "standalone": Export.standalone,
    "pt2": Export.pt2,
    "onnx": Export.onnx,
    "executorch": Export.executorch,
}
"""Name of each format and what writes it."""


def export_model(
    model: Model,
    folder: Path,
    formats: Sequence[str],
    weights: Path | None = None,
    beside: Callable[[Path, Sequence[Written]], Sequence[Written]] = lambda made, written: (),
) -> list[Written]:
    """Writes a model in each of the formats; the folder has all of the files in the end, or is as it was.

    Args:
        model: to write.
        folder: for the files; is made.
        formats: names in `FORMATS`.
        weights: a safetensors file; without one a program has fresh random weights, and says so.
        beside: writes what describes the files, given where they are for now, and what was written.

    Raises:
        MismatchError: when a file that was written does not compute what the network does.
        MissingPackageError: when a format needs a package that is not installed.
        UsageError: when weights are needed and not given, or a file cannot be written.
    """
    with whole(folder) as made:
        export = Export(model, made, weights)
        written = [file for name in FORMATS if name in formats for file in FORMATS[name](export)]
        if {"config", "torch"} <= {*formats}:
            _check_together(export)
        written += beside(made, written)
    return [replace(file, path=folder / file.path.name) for file in written]


def _check_together(export: Export) -> None:
    """Raises MismatchError when the config and the weights that were written do not give the network."""
    from dcdnas.export.programs import compared
    from dcdnas.networks import build_network

    again = build_network(export.folder / "config.json")
    load_weights(again, export.folder / WEIGHTS)
    again.eval()
    compared(export.network, lambda x: again(x), export.model.architecture.input, export.folder / WEIGHTS)


def read_formats(text: str) -> list[str]:
    """The names of formats in a list with commas, in the order in which they are written.

    Raises:
        UnknownNameError: suggesting the nearest.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in FORMATS:
            raise UnknownNameError("format", name, FORMATS)
    if not names:
        raise UsageError(f"--to names no format. Known: {', '.join(FORMATS)}.")
    return [name for name in FORMATS if name in names]


def load_weights(network: Network, path: Path) -> None:
    """Loads weights into a network.

    Raises:
        FileError: when the file is missing, no safetensors, or of another network.
    """
    from dcdnas.training.weights import check_fit, read_weights

    state = read_weights(path).tensors
    check_fit(path, network.state_dict(), state)
    network.load_state_dict(state)


def load_trained(architecture: Architecture, images: Images, weights: Path) -> tuple[Network, Images]:
    """A network as `dcdnas train` left it, and the images that watched its training.

    Args:
        architecture: is fitted to the images, as it was for the training.
        images: training part of the data set.
        weights: safetensors file.

    Returns:
        The network in eval mode, and the validation part.

    Raises:
        FileError: when the file is missing, no safetensors, or of another network.
    """
    from dcdnas.data import split
    from dcdnas.networks import build_network
    from dcdnas.training.full import VALIDATION, fitted

    part = split(images, VALIDATION)
    network = build_network(fitted(architecture, part.train))
    load_weights(network, weights)
    return network.eval(), part.validation


def save_weights(network: Network, path: Path, metadata: Mapping[str, str] | None = None) -> Written:
    """Writes all parameters and buffers, reads them again and compares.

    Args:
        network: whose state is written.
        path: of the file; it is there only when all of it is.
        metadata: kept in the file's head, see `Model.metadata`.

    Raises:
        MismatchError: when they are not equal.
        UsageError: when the file cannot be written.
    """
    import torch
    from safetensors.torch import load_file, save

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with finished(path) as part:
        part.write_bytes(save(state, metadata={"format": "pt", **(metadata or {})}))
        again = load_file(part)
        if set(again) != set(state) or not all(torch.equal(tensor, again[name]) for name, tensor in state.items()):
            raise MismatchError(f"{path}: the weights that were read back are not those that were written.")
    return Written(path, f"{len(again)} tensors, read back equal", 0.0)
