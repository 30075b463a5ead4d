"""A layer of a published code: its constructor, and how its state reads as ours."""

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
    """One class of a published code.

    Args:
        make: our module for the published constructor's keyword arguments, with their published defaults.
        names: beginnings of the published state's names and what ours begin with instead; the longest that fits counts.
    """

    make: Callable[..., nn.Module]
    names: Mapping[str, str]

    def build(self, name: str, arguments: Mapping[str, Any]) -> nn.Module:
        """The layer with fresh weights; see `made`."""
        module: nn.Module = made(self.make, name, arguments, "arguments")
        return module

    def renamed(self, name: str) -> str | None:
        """Our name of a published parameter or buffer; None when there is none."""
        fitting = [old for old in self.names if name == old or name.startswith(f"{old}.")]
        return self.names[max(fitting, key=len)] + name[len(max(fitting, key=len)) :] if fitting else None


def made(make: Callable[..., Any], name: str, arguments: Mapping[str, Any], kind: str) -> Any:
    """What `make` gives for keyword arguments; all problems with them are said by their published names.

    Args:
        make: whose keyword arguments are a published class's or network's.
        name: of that.
        arguments: for it.
        kind: what they are called in a message.

    Raises:
        UsageError: for arguments that it does not know, or needs and did not get, and for values that cannot be.
        GeometryError: where they are a layer's that the operator cannot be.
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
    """The call as it is written with all that was left out: ``DYModule(inp=8, oup=24, fc_squeeze=8)``."""
    parameters = inspect.signature(make).parameters.values()
    return f"{name}({said(p.replace(default=arguments.get(p.name, p.default)) for p in parameters)})"


def said(parameters: Iterable[inspect.Parameter]) -> str:
    """Names with their defaults, where they have one."""
    return ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters)


def inverse(name: str, share: float) -> float:
    """A published share of the channels as what our operators divide them by.

    Raises:
        UsageError: when it is no share.
    """
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise UsageError(f"{name} cannot be {share!r}. Allowed: a number above 0, up to 1.")
    return 1 / share


OPTIONAL = ("num_batches_tracked", "temperature")
"""Last parts of the names that a published state may lack."""


def load_renamed(module: nn.Module, state: State, rename: Callable[[str], str | None], what: str) -> None:
    """Loads a published state into our module, reshaping what only differs by axes of size 1 or by flattening.

    Args:
        module: is changed; its floating type becomes float64 where all of the state is, else float32.
        state: by published names.
        rename: published name to ours, or None.
        what: named in errors, with all arguments or settings, because most states that do not fit were made with others.

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
        if ours in found:
            problems.append(f"{name} {tuple(value.shape)} is in the place of another: {ours}")
        if fitted is None:
            problems.append(f"{name} is {tuple(value.shape)}, which does not fit {ours} {tuple(target[ours].shape)}")
        found[ours] = value if fitted is None else fitted
    if not found:
        some = ", ".join(list(state)[:4])
        raise FileError(f"none of the {len(state)} names of the state is one of {what}. They begin with: {some}.")
    missing = [n for n in target if n not in found and n.rpartition(".")[2] not in OPTIONAL]
    problems += [f"nothing for {name} {tuple(target[name].shape)}" for name in missing]
    if problems:
        lines = "\n".join(f"  {problem}" for problem in problems)
        raise FileError(f"the state does not fit {what}:\n{lines}")
    doubles = all(v.dtype == torch.float64 for v in state.values() if v.is_floating_point())
    module.to(torch.float64 if doubles else torch.float32).load_state_dict({**target, **found})


def _fitted(value: Tensor, shape: torch.Size) -> Tensor | None:
    """`value` in our shape: its last axes flattened, or axes of size 1 added at its end."""
    if value.dim() > len(shape) and len(shape) > 0 and value.flatten(len(shape) - 1).shape == shape:
        return value.flatten(len(shape) - 1)
    if value.dim() < len(shape) and (*value.shape, *[1] * (len(shape) - value.dim())) == tuple(shape):
        return value.reshape(shape)
    return value if value.shape == shape else None
