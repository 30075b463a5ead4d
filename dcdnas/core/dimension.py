"""Search dimensions, which are declared once, as annotated keyword arguments of a constructor.

    def __init__(self, ..., *, num_kernels: Annotated[int, Choice(at_least=1, at_most=16)] = 1): ...

The space file's schema, `dcdnas list`, the docs and the error messages are derived from these annotations.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from dcdnas.errors import UsageError

Scope = Literal["network", "stage", "block", "layer"]


@dataclass(frozen=True)
class Choice:
    """Allowed values of a search dimension.

    Args:
        words: the allowed strings.
        at_least: smallest allowed number; None when numbers are not allowed.
        at_most: largest allowed number; None for no upper bound.
        power_of_two: whether only 1, 2, 4, ... are allowed.
        odd: whether only 1, 3, 5, ... are allowed.
        per: for a setting of a network, whether it has one value per network, stage, block or layer.
    """

    words: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None
    power_of_two: bool = False
    odd: bool = False
    per: Scope = "network"


@dataclass(frozen=True)
class Dimension:
    """One search dimension of an operator or network.

    Args:
        name: name of the keyword argument.
        types: the scalar types that it accepts.
        choice: its allowed values.
        default: default in the constructor's signature.
    """

    name: str
    types: tuple[type, ...]
    choice: Choice
    default: Any

    def check(self, value: object) -> None:
        """Raises a UsageError, which says what is allowed, when `value` is not allowed."""
        if not self._allowed(value):
            raise UsageError(f"{self.name} cannot be {value!r}. Allowed: {self.allowed}.")

    @property
    def allowed(self) -> str:
        """The allowed values in words."""
        if self.types == (bool,):
            return "true, false"
        parts = [", ".join(self.choice.words)] if self.choice.words else []
        if self.choice.at_least is not None:
            kind = "a whole number" if float not in self.types else "a number"
            kind = "a power of two" if self.choice.power_of_two else "an odd number" if self.choice.odd else kind
            top = f" to {self.choice.at_most:g}" if self.choice.at_most is not None else " or more"
            parts.append(f"{kind}, {self.choice.at_least:g}{top}")
        return "; or ".join(parts)

    def _allowed(self, value: object) -> bool:
        if isinstance(value, bool) or self.types == (bool,):
            return isinstance(value, bool) and bool in self.types
        if isinstance(value, str):
            return value in self.choice.words
        if not isinstance(value, (int, float)) or (isinstance(value, float) and float not in self.types):
            return False
        low, high = self.choice.at_least, self.choice.at_most
        if low is None or not low <= value < math.inf or (high is not None and value > high):
            return False
        if self.choice.power_of_two and not (isinstance(value, int) and value & (value - 1) == 0):
            return False
        return not self.choice.odd or value % 2 == 1


def dimensions(constructor: Callable[..., Any]) -> Mapping[str, Dimension]:
    """The search dimensions of a class or function, by name.

    A class whose constructor accepts further keywords (``**settings``) also has the dimensions of the base class's constructor,
    which come first.
    """
    return _dimensions(constructor)


@cache
def _dimensions(constructor: Any) -> Mapping[str, Dimension]:
    functions = [constructor]
    if inspect.isclass(constructor):
        functions = [vars(base)["__init__"] for base in constructor.__mro__ if "__init__" in vars(base)]
    found: dict[str, Dimension] = {}
    for function in functions:
        found = {**_dimensions_of(function), **found}
        if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values()):
            break
    return MappingProxyType(found)


def _dimensions_of(function: Callable[..., Any]) -> dict[str, Dimension]:
    hints = get_type_hints(function, include_extras=True)
    found = {}
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints.get(name)
        choice = next((a for a in get_args(hint)[1:] if isinstance(a, Choice)), None) if get_origin(hint) is Annotated else None
        if choice is not None:
            types = tuple(scalar for part in get_args(hint) for scalar in _scalars(part))
            found[name] = Dimension(name, types, choice, parameter.default)
    return found


def _scalars(hint: Any) -> tuple[type, ...]:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return tuple(t for t in options if t in (int, float, bool, str))
