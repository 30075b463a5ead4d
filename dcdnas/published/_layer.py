"""Layers of published code: their constructors, and the mapping from their state dicts to those of this package."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dcdnas.errors import FileError, GeometryError, UsageError

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class PublishedLayer:
    """One layer class of a published code.

    Args:
        make: builds this package's module from the published constructor's keyword arguments, with their published defaults.
        names: prefix of published names -> prefix of this package's names; the longest matching prefix is used.
    """

    make: Callable[..., nn.Module]
    names: Mapping[str, str]

    def build(self, name: str, arguments: Mapping[str, Any]) -> nn.Module:
        """Builds the layer with randomly initialised weights; see `made`."""
        module: nn.Module = made(self.make, name, arguments, "arguments")
        return module

    def renamed(self, name: str) -> str | None:
        """This package's name of a published parameter or buffer; None if there is none."""
        fitting = [old for old in self.names if name == old or name.startswith(f"{old}.")]
        return self.names[max(fitting, key=len)] + name[len(max(fitting, key=len)) :] if fitting else None


def made(make: Callable[..., Any], name: str, arguments: Mapping[str, Any], kind: str) -> Any:
    """Calls `make` with keyword arguments; errors name the published class or network and its arguments.

    Args:
        make: takes the keyword arguments of a published class or network.
        name: of this class or network.
        arguments: to pass.
        kind: what messages call the arguments.

    Raises:
        UsageError: for unknown or missing arguments, and for values that are not allowed.
        GeometryError: for arguments of a layer that the operator does not support.
    """
    signature = inspect.signature(make)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        raise UsageError(f"{name}: {error}. Its {kind}: {said(signature.parameters.values())}.") from None
    try:
        return make(**arguments)
    except UsageError as error:
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise (GeometryError if isinstance(error, GeometryError) else UsageError)(f"{name}({given}): {error}") from None


def called(make: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> str:
    """Writes a call with all arguments, including omitted ones: ``DYModule(inp=8, oup=24, fc_squeeze=8)``."""
    parameters = inspect.signature(make).parameters.values()
    return f"{name}({said(p.replace(default=arguments.get(p.name, p.default)) for p in parameters)})"


def said(parameters: Iterable[inspect.Parameter]) -> str:
    """Lists parameters by name, with their default if they have one."""
    return ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters)


def inverse(name: str, share: float) -> float:
    """Converts a published fraction of the channels to the reduction by which operators divide them.

    Raises:
        UsageError: if `share` is not above 0 and at most 1.
    """
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise UsageError(f"{name} cannot be {share!r}. Allowed: a number above 0, up to 1.")
    return 1 / share


OPTIONAL = ("num_batches_tracked", "temperature")
"""Last components of the names that a published state dict may lack."""


def load_renamed(module: nn.Module, state: State, rename: Callable[[str], str | None], what: str) -> None:
    """Loads a published state dict into a module, and reshapes tensors that differ only by axes of size 1 or by flattening.

    Args:
        module: modified in place; its dtype becomes float64 if the whole state dict is float64, else float32.
        state: by published names.
        rename: maps a published name to this package's, or to None.
        what: named in errors, with all arguments or settings, because most state dicts that do not fit were made with others.

    Raises:
        FileError: listing every published name without a counterpart, every missing value, every shape that does not fit and
            every value that cannot be used.
    """
    target, found, problems = module.state_dict(), {}, []
    for name, value in state.items():
        ours = rename(name)
        if ours is None or ours not in target:
            problems.append(f"{name} {tuple(value.shape)} has no place")
            continue
        if wrong := _unusable(value, target[ours]):
            problems.append(f"{name} {wrong}")
        fitted = value if wrong else _fitted(value, target[ours].shape)
        if ours in found:
            problems.append(f"{name} {tuple(value.shape)} has the same place as another entry: {ours}")
        if fitted is None:
            problems.append(f"{name} is {tuple(value.shape)}, which does not fit {ours} {tuple(target[ours].shape)}")
        found[ours] = value if fitted is None else fitted
    if not found:
        some = ", ".join(list(state)[:4])
        raise FileError(f"none of the {len(state)} names in the state dict belongs to {what}. The first are: {some}.")
    missing = [n for n in target if n not in found and n.rpartition(".")[2] not in OPTIONAL]
    problems += [f"{name} {tuple(target[name].shape)} is missing" for name in missing]
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise FileError(f"the state dict does not fit {what}:\n{lines}")
    doubles = all(v.dtype == torch.float64 for v in state.values() if v.is_floating_point())
    module.to(torch.float64 if doubles else torch.float32).load_state_dict({**target, **found})


def _unusable(value: Tensor, target: Tensor) -> str:
    """What makes a tensor of a checkpoint unusable as this parameter or buffer; empty if nothing does."""
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        kind = "quantized" if value.is_quantized else "without values" if value.is_meta else "sparse"
        return f"is {kind}. Allowed: dense tensors"
    if target.is_floating_point():
        if not value.is_floating_point():
            return f"holds {str(value.dtype).removeprefix('torch.')}. Allowed: floating-point numbers"
        if not torch.isfinite(value.float() if value.element_size() == 1 else value).all():  # not known for 8 bits
            return "holds numbers that are not finite. The file is damaged, or its training diverged"
    return ""


def _fitted(value: Tensor, shape: torch.Size) -> Tensor | None:
    """Returns `value` in this shape, with its last axes flattened or axes of size 1 appended; None if it does not fit."""
    if value.dim() > len(shape) and len(shape) > 0 and value.flatten(len(shape) - 1).shape == shape:
        return value.flatten(len(shape) - 1)
    if value.dim() < len(shape) and (*value.shape, *[1] * (len(shape) - value.dim())) == tuple(shape):
        return value.reshape(shape)
    return value if value.shape == shape else None
