"""Exports an architecture, with weights if there are any, as self-contained files; each is loaded again and compared.

Formats: ``config`` is YAML and JSON, ``torch`` the weights as safetensors, ``standalone`` a plain PyTorch file that reads them,
``pt2`` a `torch.export` program for any batch size, ``onnx`` an ONNX model for any batch size and a faster one for one image,
``executorch`` a program for phones. Writing a config needs no torch, so torch is imported only by the other formats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dcdnas.core.files import utf8_path
from dcdnas.errors import MismatchError, UnknownNameError, UsageError
from dcdnas.export.config import Model, write_config
from dcdnas.export.files import finished, whole
from dcdnas.export.names import CONFIGS, EXECUTORCH, ONNX, ONNX_OF_ONE, PT2, STANDALONE, WEIGHTS
from dcdnas.export.outdated import outdated

if TYPE_CHECKING:
    from dcdnas.core.architecture import Architecture
    from dcdnas.data import Images
    from dcdnas.networks import Network


@dataclass(frozen=True)
class Written:
    """A file that was written and passed its check.

    Args:
        path: path of the file.
        said: what was checked, in words.
        error: largest difference from the network's own outputs, relative to the largest output; None if nothing is computed.
    """

    path: Path
    said: str
    error: float | None = None


class Export:
    """Export of a model; what several formats need is made once.

    Args:
        model: model to write.
        folder: folder for the files.
        weights: a safetensors file; None for random weights.
    """

    def __init__(self, model: Model, folder: Path, weights: Path | None = None) -> None:
        self.model, self.folder, self.weights = model, folder, weights

    @cached_property
    def network(self) -> Network:
        """The network in eval mode, with the given weights or random ones."""
        from dcdnas.networks import build_network

        network = build_network(self.model.architecture)
        if self.weights is not None:
            load_weights(network, self.weights)
        return network.eval()

    def config(self) -> list[Written]:
        """Writes the architecture with its cost and provenance, as YAML and JSON."""
        said = "builds the same network: same layers, parameters and FLOPs"
        return [Written(write_config(self.model, self.folder / name), said) for name in CONFIGS]

    def torch(self) -> list[Written]:
        """Writes all weights, and checks them against the network."""
        if self.weights is None:
            raise UsageError(
                "torch and standalone write trained weights, and there are none. `dcdnas train` makes them: export the folder "
                f"that it wrote (with config.yaml and {WEIGHTS}), or name a file with --weights; a training of your own makes "
                "such a file with safetensors.torch.save_file(network.state_dict(), FILE)."
            )
        return [save_weights(self.network, self.folder / WEIGHTS, self.model.metadata())]

    def standalone(self) -> list[Written]:
        """Writes one plain PyTorch file, which reads the weights beside it."""
        from dcdnas.export.programs import compared
        from dcdnas.export.standalone import write_standalone
        from dcdnas.tracing.programs import traced

        path, weights = self.folder / STANDALONE, self.folder / WEIGHTS
        written = [] if weights.is_file() else self.torch()
        program = traced(self.network, self.model.architecture.input)
        error = write_standalone(program, self.network, self.model, path, weights, compared)
        said = f"needs only torch and {WEIGHTS}; computes the same at batch 1 and 8"
        return [*written, self._computed(path, error, said)]

    def pt2(self) -> list[Written]:
        """Writes a `torch.export` program."""
        from dcdnas.export.programs import write_pt2
        from dcdnas.tracing.programs import traced

        path = self.folder / PT2
        program = traced(self.network.deploy(), self.model.architecture.input)
        return [self._computed(path, write_pt2(program, self.network, self.model, path))]

    def onnx(self) -> list[Written]:
        """Writes an ONNX model for any batch size, and one for one image at a time, in which dynamic layers are faster."""
        from dcdnas.export.programs import write_onnx

        path, one = self.folder / ONNX, self.folder / ONNX_OF_ONE
        shipped = self.network.deploy()
        written = [self._computed(path, write_onnx(shipped, self.network, self.model, path))]
        error = write_onnx(shipped, self.network, self.model, one, for_one=True)
        return [*written, self._computed(one, error, "takes one image at a time, faster than model.onnx; computes the same")]

    def executorch(self) -> list[Written]:
        """Writes an ExecuTorch program for one image at a time."""
        from dcdnas.export.programs import write_executorch

        path = self.folder / EXECUTORCH
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
"""Names of the formats and the functions that write them."""


def export_model(
    model: Model,
    folder: Path,
    formats: Sequence[str],
    weights: Path | None = None,
    beside: Callable[[Path, Sequence[Written]], Sequence[Written]] = lambda made, written: (),
) -> list[Written]:
    """Writes a model in each of the formats; the folder receives all of the files, or stays as it was.

    Files that an earlier export of another network left in the folder are removed, see `dcdnas.export.outdated`.

    Args:
        model: model to write.
        folder: folder for the files; it is created.
        formats: names in `FORMATS`.
        weights: a safetensors file; without one a program has random weights, and its description states this.
        beside: writes further files, such as a model card, given the temporary folder of the files and their descriptions.

    Raises:
        MismatchError: when a written file does not compute the same as the network.
        MissingPackageError: when a format needs a package that is not installed.
        UsageError: when weights are required and not given, a file cannot be written, or the folder is another network's and no
            config is written.
    """
    with whole(folder, outdated(model, weights, folder, formats)) as made:
        export = Export(model, made, weights)
        written = [file for name in FORMATS if name in formats for file in FORMATS[name](export)]
        if {"config", "torch"} <= {*formats}:
            _check_together(export)
        written += beside(made, written)
    return [replace(file, path=folder / file.path.name) for file in written]


def _check_together(export: Export) -> None:
    """Raises MismatchError when the written config and weights do not rebuild the network."""
    from dcdnas.export.programs import compared
    from dcdnas.networks import build_network

    again = build_network(export.folder / "config.json")
    load_weights(again, export.folder / WEIGHTS)
    again.eval()
    compared(export.network, lambda x: again(x), export.model.architecture.input, export.folder / WEIGHTS)


def read_formats(text: str) -> list[str]:
    """Parses a comma-separated list of formats; returns their names in the order in which they are written.

    Raises:
        UnknownNameError: for an unknown format, suggesting the nearest name.
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
        FileError: when the file is missing, not a safetensors file, or belongs to another network.
    """
    from dcdnas.training.weights import check_fit, read_weights

    state = read_weights(path).tensors
    check_fit(path, network.state_dict(), state)
    network.load_state_dict(state)


def load_trained(architecture: Architecture, images: Images, weights: Path) -> tuple[Network, Images]:
    """Loads a network that `dcdnas train` trained, and the validation images of its training.

    Args:
        architecture: architecture, which is fitted to the images as it was for the training.
        images: training part of the data set.
        weights: safetensors file.

    Returns:
        The network in eval mode, and the validation split.

    Raises:
        FileError: when the file is missing, not a safetensors file, or belongs to another network.
    """
    from dcdnas.data import split
    from dcdnas.networks import build_network
    from dcdnas.training.full import VALIDATION, fitted

    part = split(images, VALIDATION)
    network = build_network(fitted(architecture, part.train))
    load_weights(network, weights)
    return network.eval(), part.validation


def save_weights(network: Network, path: Path, metadata: Mapping[str, str] | None = None) -> Written:
    """Writes all parameters and buffers to a safetensors file, reads them back and compares them.

    Args:
        network: network whose state dict is written.
        path: path of the file, which appears only when it is complete.
        metadata: metadata in the file's header, see `Model.metadata`.

    Raises:
        MismatchError: when the tensors that were read back differ.
        UsageError: when the file cannot be written.
    """
    import torch
    from safetensors.torch import load_file, save

    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with finished(path) as part:
        part.write_bytes(save(state, metadata={"format": "pt", **(metadata or {})}))
        with utf8_path(part) as readable:
            again = load_file(readable)
        if set(again) != set(state) or not all(torch.equal(tensor, again[name]) for name, tensor in state.items()):
            raise MismatchError(f"{path}: the weights that were read back are not those that were written.")
    return Written(path, f"{len(again)} tensors, read back equal", 0.0)
