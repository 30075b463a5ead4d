"""Reads weights from a safetensors file of any origin, without executing code, and checks that they fit a network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dcdnas.core.files import is_file, utf8_path
from dcdnas.core.weights_metadata import BEST, WEIGHTS
from dcdnas.errors import FileError

MOST_NAMED = 3
"""The most differences that a message lists."""

PICKLES = b"PK\x03\x04", b"\x80"
"""First bytes of files that `torch.save` and `pickle` write; a safetensors file has a brace after its first eight bytes."""


CHECKPOINTS = "dcdnas/training-"
"""Beginning of the format, in a file's header, of checkpoints that `dcdnas.training.checkpoint` writes."""


class Weights(NamedTuple):
    """Tensors by name, and the names of the classes, which are empty if the file does not contain them."""

    tensors: dict[str, Tensor]
    classes: tuple[str, ...]


def read_weights(path: Path) -> Weights:
    """Reads the weights and class names from a file.

    Raises:
        FileError: when the file is missing, damaged, not safetensors or the checkpoint of a training, or a weight is not finite.
    """
    with _opened(path) as file:
        head = file.metadata() or {}
        tensors = {name: _computable(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    if head.get("format", "").startswith(CHECKPOINTS):
        raise FileError(_checkpoint(path))
    wrong = [name for name, tensor in tensors.items() if tensor.is_floating_point() and not torch.isfinite(tensor).all()]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise FileError(f"{path}: {wrong[0]}{more}: numbers that are not finite. It is damaged, or its training diverged.")
    return Weights(tensors, _classes(head.get("label_names", "")))


def read_metadata(path: Path) -> dict[str, str]:
    """Reads the metadata of a file with weights, without its tensors.

    Raises:
        FileError: when the file is missing, damaged or not safetensors.
    """
    with _opened(path) as file:
        return dict(file.metadata() or {})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a safetensors file; raises FileError when it cannot be opened or read."""
    if not is_file(path):
        raise FileError(f"{path}: no such file. Give weights as safetensors, like the {WEIGHTS} of `dcdnas train`.")
    try:
        with utf8_path(path) as readable, safe_open(readable, framework="pt") as file:
            yield file
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise FileError(_unreadable(path, error)) from None


def check_fit(path: Path, network: Mapping[str, Tensor], found: Mapping[str, Tensor], but: tuple[str, ...] = ()) -> None:
    """Checks that weights have the names, shapes and kinds of number of a network's.

    Args:
        path: of the file, for the message.
        network: tensors of the network, by name.
        found: tensors of the file, by name.
        but: tensors whose shape may differ.

    Raises:
        FileError: listing the tensors that are missing, unknown to the network, or of another shape or kind of number.
    """
    problems = [f"{name} is missing" for name in network if name not in found]
    problems += [f"{name} is not in the network" for name in found if name not in network]
    for name in (name for name in network if name in found):
        mine, theirs = network[name], found[name]
        if theirs.shape != mine.shape and name not in but:
            problems.append(f"{name} has shape {tuple(theirs.shape)} instead of {tuple(mine.shape)}")
        elif theirs.is_floating_point() != mine.is_floating_point():
            problems.append(f"{name} holds {_kind(theirs)} instead of {_kind(mine)}")
    if problems:
        more = f" and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
        named = "; ".join(problems[:MOST_NAMED])
        raise FileError(f"{path}: weights of another network: {named}{more}. Give weights of this network.")


def _checkpoint(path: Path) -> str:
    beside = [str(path.with_name(name)) for name in (WEIGHTS, BEST) if is_file(path.with_name(name))]
    advice = f"Give {' or '.join(beside)}." if beside else f"Give weights, like the {WEIGHTS} of a finished training."
    return f"{path}: the checkpoint of a training, from which `dcdnas train` continues with --resume, and not weights. {advice}"


def _unreadable(path: Path, error: Exception) -> str:
    try:
        with path.open("rb") as file:
            begin = file.read(9)
    except OSError:
        begin = b""
    if begin.startswith(PICKLES) and begin[8:] != b"{":
        return (
            f"{path}: a file of torch.save or pickle, which may run code and is never read here. Allowed: safetensors. "
            "`dcdnas import` reads published checkpoints without running what is in them."
        )
    reason = str(error).removeprefix("Error while deserializing header: ")
    return f"{path}: cannot be read as safetensors: {reason}. The file is damaged or has another format: get it again."


def _classes(said: str) -> tuple[str, ...]:
    """Returns the names of the classes, or an empty tuple if `said` is not a JSON list of strings."""
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        return ()
    return tuple(found) if isinstance(found, list) and all(isinstance(name, str) for name in found) else ()


def _computable(tensor: Tensor) -> Tensor:
    """Returns the tensor, in float32 if its floating-point numbers have 8 bits, with which torch can do next to nothing."""
    return tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor


def _kind(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
