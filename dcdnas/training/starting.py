"""What a training in earnest begins with beside its seed: weights of an earlier one, and a teacher."""

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
"""How the names of those tensors begin that are for the classes."""


@dataclass(frozen=True)
class Start:
    """What a training begins with.

    Args:
        weights: by name; what is not named begins as its seed has it.
        teacher: whose answers it learns; None for none.
    """

    weights: Mapping[str, Tensor] = field(default_factory=dict)
    teacher: Teacher | None = None

    def put(self, network: nn.Module) -> None:
        """Writes the weights into a network."""
        if self.weights:
            network.load_state_dict(dict(self.weights), strict=False)

    def described(self) -> dict[str, str]:
        """What tells one start from another, as plain data."""
        said = {"weights at the start": digest(self.weights)} if self.weights else {}
        return said | ({"teacher": digest(self.teacher.network.state_dict())} if self.teacher else {})


FRESH = Start()


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Of names and contents."""
    found = hashlib.blake2b(digest_size=8)
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def weights_for(network: nn.Module, path: Path, classes: tuple[str, ...] = ()) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Weights of a file for a network; without the classifier's where that is for other classes, or for another order of them.

    Args:
        network: that is going to begin with them.
        path: of a safetensors file.
        classes: names of those that it is going to learn; none where they are not known.

    Returns:
        The weights, and the names of those that stay as their seed has them.

    Raises:
        FileError: when the file is missing, no safetensors, or of another network.
    """
    found, theirs = read_weights(path)
    mine = network.state_dict()
    others = bool(theirs and classes) and theirs != classes
    last = [name for name in mine if name in found and name.startswith(CLASSIFIERS)]
    fresh = tuple(name for name in last if others or found[name].shape != mine[name].shape)
    check_fit(path, mine, found, fresh)
    return {name: tensor for name, tensor in found.items() if name not in fresh}, fresh
