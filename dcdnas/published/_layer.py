"""A layer of a published code: its constructor, and how its state reads as ours."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dcdnas.errors import FileError, UsageError

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class PublishedLayer:
    """One class of a published code.

    Args:
        make: our module for the published constructor's keyword arguments, with their published defaults.
        names: beginnings of the published state's names and what ours begin with instead; the longest that fits counts.
    """

    make: Callable[..., nn.Module]
    names: Mapping[str, str]

    def build(self, name: str, arguments: Mapping[str, Any]) -> nn.Module:
        """The layer with fresh weights.

        Raises:
            UsageError: for arguments that the published constructor does not know, or needs and did not get.
        """
        signature = inspect.signature(self.make)
        try:
            signature.bind(**arguments)
        except TypeError as error:
            raise UsageError(f"{name}: {error}. Its arguments: {', '.join(map(str, signature.parameters.values()))}.") from None
        return self.make(**arguments)

    def renamed(self, name: str) -> str | None:
        """Our name of a published parameter or buffer; None when there is none."""
        fitting = [old for old in self.names if name == old or name.startswith(f"{old}.")]
        return self.names[max(fitting, key=len)] + name[len(max(fitting, key=len)) :] if fitting else None


OPTIONAL = ("num_batches_tracked", "temperature")
"""Last parts of the names that a published state may lack."""


def load_renamed(module: nn.Module, state: State, rename: Callable[[str], str | None], what: str) -> None:
    """Loads a published state into our module, reshaping what only differs by axes of size 1 or by flattening.

    Args:
        module: is changed, and takes the state's floating type.
        state: by published names.
        rename: published name to ours, or None.
        what: named in errors.

    Raises:
        FileError: listing every name without a place, every place without a value and every shape that does not fit.
    """
    target, found, problems = module.state_dict(), {}, []
    for name, value in state.items():
        ours = rename(name)
        if ours is None or ours not in target:
            problems.append(f"{name} {tuple(value.shape)} has no place")
            continue
        fitted = _fitted(value, target[ours].shape)
        if fitted is None:
            problems.append(f"{name} is {tuple(value.shape)}, which does not fit {ours} {tuple(target[ours].shape)}")
        found[ours] = value if fitted is None else fitted
    missing = [n for n in target if n not in found and n.rpartition(".")[2] not in OPTIONAL]
    problems += [f"nothing for {name} {tuple(target[name].shape)}" for name in missing]
    if problems:
        raise FileError(f"{what}: the state does not fit:\n" + "\n".join(f"  {problem}" for problem in problems))
    floating = next((v.dtype for v in state.values() if v.is_floating_point()), torch.float32)
    module.to(floating).load_state_dict({**target, **found})


def _fitted(value: Tensor, shape: torch.Size) -> Tensor | None:
    """`value` in our shape: its last axes flattened, or axes of size 1 added at its end."""
    if value.dim() > len(shape) and len(shape) > 0 and value.flatten(len(shape) - 1).shape == shape:
        return value.flatten(len(shape) - 1)
    if value.dim() < len(shape) and (*value.shape, *[1] * (len(shape) - value.dim())) == tuple(shape):
        return value.reshape(shape)
    return value if value.shape == shape else None
