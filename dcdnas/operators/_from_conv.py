"""Reads the arguments of a convolution in any PyTorch network for the operator that replaces it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn.parameter import is_lazy
from torch.nn.utils.parametrize import is_parametrized

from dcdnas.errors import GeometryError
from dcdnas.operators._arguments import one_number


def plain_conv(conv: nn.Module) -> nn.Conv2d:
    """Returns the module if it computes exactly what a zero-padded `torch.nn.Conv2d` does.

    Raises:
        GeometryError: otherwise, with the reason.
    """
    problem = next(_problems(conv), "")
    if problem:
        raise GeometryError(problem)
    assert isinstance(conv, nn.Conv2d)
    return conv


def arguments_of(conv: nn.Conv2d) -> dict[str, Any]:
    """Returns the arguments of a Conv2d as an operator takes them, with one number for both axes.

    Raises:
        GeometryError: if the two axes differ.
    """
    k, apart = one_number("kernel_size", conv.kernel_size), one_number("dilation", conv.dilation)
    return {
        "in_channels": conv.in_channels,
        "out_channels": conv.out_channels,
        "kernel_size": k,
        "stride": one_number("stride", conv.stride),
        "padding": _padding(conv.padding, apart * (k - 1)),
        "dilation": apart,
        "groups": conv.groups,
        "bias": conv.bias is not None,
    }


def _problems(conv: nn.Module) -> Iterator[str]:
    name = type(conv).__name__
    if not isinstance(conv, nn.Conv2d):
        yield f"{name} is not a Conv2d. Allowed: torch.nn.Conv2d."
        return
    if is_parametrized(conv):
        yield "a parametrization computes its weight. Remove it first: torch.nn.utils.parametrize.remove_parametrizations."
    kind = type(conv)
    if kind.forward is not nn.Conv2d.forward or kind._conv_forward is not nn.Conv2d._conv_forward:
        yield f"{name} overrides the forward pass of torch.nn.Conv2d. Allowed: torch.nn.Conv2d."
    if is_lazy(conv.weight):
        yield "it has no weight yet. Pass an image through the network first."
    if conv._forward_hooks or conv._forward_pre_hooks:
        yield "it has forward hooks, which would be lost. Remove them first, and register them again on the operator."
    if conv.padding_mode != "zeros":
        yield f"padding_mode is {conv.padding_mode!r}. Allowed: 'zeros'."


def _padding(padding: Any, reach: int) -> int:
    """Padding in pixels on every side; `reach` is the size of the dilated kernel minus one."""
    if padding == "valid":
        return 0
    if padding != "same":
        return one_number("padding", padding)
    if reach % 2:
        raise GeometryError("padding 'same' is asymmetric for an even kernel. Allowed: an odd kernel, or a number of pixels.")
    return reach // 2
