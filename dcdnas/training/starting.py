"""What a training in earnest begins with beside its seed: weights of an earlier one, and a teacher."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dcdnas.errors import FileError
from dcdnas.training.distillation import Teacher

CLASSIFIER = "classifier."
"""How the names of those tensors begin that other classes have other shapes of."""


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


def weights_for(network: nn.Module, path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Weights of a file for a network; without the classifier's where that is for other classes.

    Args:
        network: that is going to begin with them.
        path: of a safetensors file.

    Returns:
        The weights, and the names of those that stay as their seed has them.

    Raises:
        FileError: when the file is missing, no safetensors, or of another network.
    """
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise FileError(f"{path}: cannot be read as safetensors: {error}.") from None
    mine = network.state_dict()
    other = tuple(n for n in mine if n in found and n.startswith(CLASSIFIER) and found[n].shape != mine[n].shape)
    problems = [f"{name} is missing" for name in mine if name not in found]
    problems += [f"{name} has no place" for name in found if name not in mine]
    problems += [
        f"{name} has shape {tuple(found[name].shape)} instead of {tuple(mine[name].shape)}"
        for name in mine
        if name in found and name not in other and found[name].shape != mine[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise FileError(f"{path}: weights of another network: {'; '.join(problems[:5])}{more}. Name those of this one.")
    return {name: tensor for name, tensor in found.items() if name not in other}, other
