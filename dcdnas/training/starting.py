"""Initial state of a full training besides its seed: weights of an earlier training, and a teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from dcdnas.training.distillation import Teacher
from dcdnas.training.weights import check_fit, read_weights

CLASSIFIERS = "classifier.", "decoder.classifier."
"""Prefixes of the names of the tensors that depend on the classes."""


@dataclass(frozen=True)
class Start:
    """The initial state of a training.

    Args:
        weights: by name; all others are initialised from the training's seed.
        teacher: network whose predictions are learned; None for no distillation.
    """

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    teacher: Teacher | None = None

    def put(self, network: nn.Module) -> None:
        """Writes the weights into a network."""
        if self.weights:
            network.load_state_dict(dict(self.weights), strict=False)

    def described(self) -> dict[str, str]:
        """Returns digests that distinguish one start from another, as plain data."""
        said = {"weights at the start": digest(self.weights)} if self.weights else {}
        return said | ({"teacher": digest(self.teacher.network.state_dict())} if self.teacher else {})


FRESH = Start()


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Returns a digest of the tensors' names and contents."""
    found = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def weights_for(network: nn.Module, path: Path, classes: tuple[str, ...] = ()) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Reads initial weights for a network; the classifier's are left out if it has other classes or orders them differently.

    Args:
        network: to be initialised with the weights.
        path: of a safetensors file.
        classes: names of the classes that the network will learn; empty if they are not known.

    Returns:
        The weights, and the names of the tensors that stay initialised from the seed.

    Raises:
        FileError: when the file is missing, not safetensors, or contains another network's weights.
    """
    found, theirs = read_weights(path)
    mine = network.state_dict()
    others = bool(theirs and classes) and theirs != classes
    last = [name for name in mine if name in found and name.startswith(CLASSIFIERS)]
    fresh = tuple(name for name in last if others or found[name].shape != mine[name].shape)
    check_fit(path, mine, found, fresh)
    return {name: tensor for name, tensor in found.items() if name not in fresh}, fresh
