"""Modules on tensors that have shapes but no memory: a slot's module, and a forward pass at batch 1 that computes nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dcdnas.core.architecture import LayerChoice
from dcdnas.networks import Slot, make
from dcdnas.operators import counting

Watched = TypeVar("Watched")

Watch = Callable[[nn.Module, Tensor], AbstractContextManager[Watched]]
"""(module, its input) -> what watches the pass, and is entered around it."""


def dry_run(module: nn.Module, shape: tuple[int, ...], watch: Watch[Watched]) -> Watched:
    """What `watch` saw of one pass in eval mode; the module is left as it was.

    An operation whose result's shape depends on numbers cannot run without memory: then the pass computes with ones.

    Args:
        module: may be on the meta device.
        shape: of its input without the batch axis.
        watch: makes what watches.
    """
    try:
        return run(_without_memory(module), shape, watch)
    except (NotImplementedError, RuntimeError):
        return run(with_memory(module), shape, watch)


def run(module: nn.Module, shape: tuple[int, ...], watch: Watch[Watched]) -> Watched:
    """As `dry_run`, of the module itself, which is in eval mode afterwards."""
    parameter = next(module.parameters(), torch.empty(0))
    x = torch.zeros((1, *shape), dtype=parameter.dtype, device=parameter.device)
    module.eval()
    with torch.no_grad(), counting(), watch(module, x) as watched:
        result = module(x)  # exists for as long as it is watched
    del result
    return watched


def with_memory(module: nn.Module) -> nn.Module:
    """A copy; of a module without memory one whose tensors are full of ones."""
    copied = copy.deepcopy(module)
    if any(tensor.is_meta for tensor in chain(module.parameters(), module.buffers())):
        copied.to_empty(device="cpu")
        for tensor in chain(copied.parameters(), copied.buffers()):
            tensor.detach().fill_(1)
    return copied


def _without_memory(module: nn.Module) -> nn.Module:
    known: dict[int, object] = {}
    for tensor in chain(module.parameters(), module.buffers()):
        bare = torch.empty_like(tensor, device="meta")
        known[id(tensor)] = nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare
    return copy.deepcopy(module, known)


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
