"""A slot's module without memory, for what depends on the shapes of its tensors alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from dcdnas.core.architecture import LayerChoice
from dcdnas.networks import Slot, make


class _NoFilling(TorchFunctionMode):
    """Leaves out what fills tensors in place: initialisations, which on the meta device are slow and change no shape."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs `func`, unless it only fills its first argument."""
        fills = func.__name__.endswith("_") and not func.__name__.endswith(("__", "squeeze_", "transpose_", "t_", "resize_"))
        given = [*args, *(kwargs or {}).values()]
        return given[0] if fills else func(*args, **(kwargs or {}))


def shapes_only(slot: Slot, choice: LayerChoice) -> nn.Module:
    """The module that stands in the slot, on the meta device where its initialisation allows that."""
    with torch.random.fork_rng(devices=()):  # the throw-away weights must not shift anyone's random numbers
        try:
            with torch.device("meta"), _NoFilling():
                return make(slot, choice)
        except (NotImplementedError, RuntimeError):  # an initialisation that looks at its numbers
            return make(slot, choice)
