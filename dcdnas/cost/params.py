"""Learnable parameters."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from fvcore.nn import parameter_count
from torch import nn
from torch.overrides import TorchFunctionMode

from dcdnas.architecture import LayerChoice
from dcdnas.cost._base import Metric
from dcdnas.cost._kept import kept
from dcdnas.networks import Slot, make

__all__ = ["params"]


def count_params(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Number of learnable parameters, as fvcore counts them; `shape` does not matter."""
    return int(parameter_count(module)[""])


def slot_params(slot: Slot, choice: LayerChoice) -> int:
    """The parameters of one slot: of a module without memory, since only the shapes matter."""
    place = Slot(slot.kind, replace(slot.geometry, height=1, width=1), slot.kind)
    return _params(place, LayerChoice(choice.operator, choice.settings))


class _ShapesOnly(TorchFunctionMode):
    """Leaves out what fills tensors in place: initialisations, which on the meta device are slow and change no shape."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs `func`, unless it only fills its first argument."""
        fills = func.__name__.endswith("_") and not func.__name__.endswith(("__", "squeeze_", "transpose_", "t_", "resize_"))
        given = [*args, *(kwargs or {}).values()]
        return given[0] if fills else func(*args, **(kwargs or {}))


@cache
def _params(slot: Slot, choice: LayerChoice) -> int:
    return kept("params", slot, choice, lambda: count_params(_shapes(slot, choice), ()))


def _shapes(slot: Slot, choice: LayerChoice) -> nn.Module:
    with torch.random.fork_rng(devices=()):  # the throw-away weights must not shift anyone's random numbers
        try:
            with torch.device("meta"), _ShapesOnly():
                return make(slot, choice)
        except (NotImplementedError, RuntimeError):  # an initialisation that looks at its numbers
            return make(slot, choice)


params = Metric("params", "learnable parameters", count_params, of_slot=slot_params)
