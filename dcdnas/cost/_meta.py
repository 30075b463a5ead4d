"""Modules on the meta device, whose tensors have no memory: a slot's module, and a forward pass that computes nothing."""

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
"""(module, its input) -> observer of the pass, a context manager that is entered around it."""


def dry_run(module: nn.Module, shape: tuple[int, ...], watch: Watch[Watched]) -> Watched:
    """Runs one forward pass at batch 1 in eval mode and returns its observer; the module is left unchanged.

    An operation whose output shape depends on tensor values cannot run without memory; then a copy with memory is run.

    Args:
        module: that may be on the meta device.
        shape: of its input without the batch axis.
        watch: creates the observer.
    """
    try:
        return run(_without_memory(module), shape, watch)
    except (NotImplementedError, RuntimeError):
        return run(with_memory(module), shape, watch)


def run(module: nn.Module, shape: tuple[int, ...], watch: Watch[Watched]) -> Watched:
    """As `dry_run`, but on the module itself, which is in eval mode afterwards."""
    parameter = next(module.parameters(), torch.empty(0))
    x = torch.zeros((1, *shape), dtype=parameter.dtype, device=parameter.device)
    module.eval()
    with torch.no_grad(), counting(), watch(module, x) as watched:
        result = module(x)  # kept alive until the observer has finished
    del result
    return watched


def with_memory(module: nn.Module) -> nn.Module:
    """Copies a module; the copy of one on the meta device has memory, filled with ones."""
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
    """Skips functions that fill tensors in place: initialisations, which are slow on the meta device and change no shape."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs `func`, unless it only fills its first argument."""
        fills = func.__name__.endswith("_") and not func.__name__.endswith(("__", "squeeze_", "transpose_", "t_", "resize_"))
        given = [*args, *(kwargs or {}).values()]
        return given[0] if fills else func(*args, **(kwargs or {}))


def shapes_only(slot: Slot, choice: LayerChoice) -> nn.Module:
    """Builds the module of a slot, on the meta device where its initialisation allows that."""
    with torch.random.fork_rng(devices=()):  # building these temporary weights must not advance the global random state
        try:
            with torch.device("meta"), _NoFilling():
                return make(slot, choice)
        except (NotImplementedError, RuntimeError):  # an initialisation that reads tensor values
            return make(slot, choice)
