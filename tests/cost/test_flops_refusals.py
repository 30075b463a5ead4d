"""What costs nothing, and what the FLOP counter refuses because nobody counts it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from counting import SHAPE, Run, count
from fvcore.nn.jit_analysis import _IGNORED_OPS
from torch import Tensor, nn

from dcdnas.cost import UncountedOperation
from dcdnas.cost._operations import NOT_COUNTED, PRODUCTS
from dcdnas.cost._trace_counter import HANDLES
from dcdnas.cost.flops import count_flops

# ---- what is free ----------------------------------------------------------------------------------------------------

FREE: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "nothing": lambda m, x: x,
    "relu6": lambda m, x: F.relu6(x),
    "hard sigmoid": lambda m, x: F.hardsigmoid(x),
    "hard swish": lambda m, x: F.hardswish(x),
    "silu": lambda m, x: F.silu(x),
    "softmax with a temperature": lambda m, x: F.softmax(x / m.temperature, 1),
    "average pooling": lambda m, x: F.adaptive_avg_pool2d(x, 2) + F.avg_pool2d(x, 3),
    "maximum pooling": lambda m, x: F.max_pool2d(x, 2),
    "global mean": lambda m, x: x.mean((2, 3), keepdim=True),
    "residual sum": lambda m, x: x + x - m.gain,
    "a scale by a number": lambda m, x: 0.5 * x / 3 * 2.0,
    "a scale by a size": lambda m, x: x * x.shape[1] / (x.shape[2] * x.shape[3]),
    "a scale by a function of the temperature": lambda m, x: x * (1 / (m.temperature + 1)).sqrt(),
    "static arithmetic on weights": lambda m, x: x + (m.gain * m.gain.exp() * m.gain.mean() / m.gain),
    "one-hot mask from an argmax": lambda m, x: F.one_hot(x.argmax(1), 4).permute(0, 3, 1, 2),
    "shuffled channels": lambda m, x: x.view(1, 2, 2, 6, 6).transpose(1, 2).reshape(1, 4, 6, 6),
    "padding, concatenation, slices": lambda m, x: torch.cat([F.pad(x, (1, 1, 1, 1))[:, :, 1:-1, 1:-1], x.chunk(2, 1)[0]], 1),
    "nearest upsampling": lambda m, x: F.interpolate(x, scale_factor=2, mode="nearest"),
    "scatter without a product": lambda m, x: x.scatter(1, x.argmax(1, keepdim=True), 1.0),
}


@pytest.mark.parametrize("name", FREE)
def test_it_costs_nothing(name: str) -> None:
    assert count(FREE[name]) == 0


@pytest.mark.parametrize(
    "layer",
    [
        nn.BatchNorm2d(4),
        nn.GroupNorm(2, 4),
        nn.InstanceNorm2d(4, affine=True),
        nn.LayerNorm(6),
        nn.Dropout(),
        nn.PReLU(),
        nn.Identity(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_norm_or_an_activation_costs_nothing(layer: nn.Module) -> None:
    assert count_flops(layer, SHAPE) == 0


def test_what_fvcore_passes_over_in_silence_was_looked_at_one_by_one() -> None:
    """A new name in fvcore's list has to be judged here before it may be free."""
    assert set(_IGNORED_OPS) <= NOT_COUNTED | PRODUCTS


def test_no_operation_is_both_free_and_counted() -> None:
    counted = {name for name, handle in HANDLES.items() if handle is not None}
    assert not counted & NOT_COUNTED


class Square(torch.autograd.Function):
    """A product that a trace cannot see into."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """x squared."""
        return x * x


@torch.jit.script
def scripted(x: Tensor) -> Tensor:
    return x * x


def through_a_view(number: Tensor, x: Tensor) -> Tensor:
    number.view(1)[0:1].copy_(x.mean().view(1))
    return number


REFUSED: dict[str, tuple[Callable[[Any, Tensor], Tensor], str]] = {
    "a product of two activations": (lambda m, x: x * x.sigmoid(), "unmarked product"),
    "a product in place": (lambda m, x: x.clone().mul_(x), "unmarked product"),
    "a product by its other name": (lambda m, x: torch.multiply(x, x), "unmarked product"),
    "a quotient": (lambda m, x: x / (1 + x.mean()), "unmarked product"),
    "a remainder": (lambda m, x: torch.remainder(x, 1 + x), "unmarked product"),
    "a learned scale of the activations": (lambda m, x: x * m.gain, "unmarked product"),
    "a mask of the input": (lambda m, x: x * (x > 0), "unmarked product"),
    "a product by one attention": (lambda m, x: m.weight * x.mean(), "unmarked product"),
    "a buffer written from the input": (lambda m, x: x * torch.zeros(()).copy_(x.mean()), "unmarked product"),
    "a buffer written through a view": (lambda m, x: x * through_a_view(m.temperature.clone(), x), "unmarked product"),
    "unfold and multiply": (lambda m, x: F.unfold(x, 3) * m.weight[0].reshape(1, -1, 1), "unmarked product"),
    "a power": (lambda m, x: x**2, "aten::pow"),
    "addcmul": (lambda m, x: torch.addcmul(x, x, x), "aten::addcmul"),
    "an outer product": (lambda m, x: torch.outer(x[0, 0, 0], x[0, 0, 0]), "aten::outer"),
    "a product of all": (lambda m, x: x.prod(1), "aten::prod"),
    "distances": (lambda m, x: torch.cdist(x, x), "aten::cdist"),
    "a Fourier transform": (lambda m, x: torch.fft.rfft2(x).abs(), "aten::fft_rfft2"),
    "attention": (lambda m, x: F.scaled_dot_product_attention(x, x, x), "aten::scaled_dot_product_attention"),
    "bicubic upsampling": (lambda m, x: F.interpolate(x, scale_factor=2, mode="bicubic"), "aten::upsample_bicubic2d"),
    "an autograd function": (lambda m, x: Square.apply(x), r"prim::PythonOp\.Square"),
    "a scripted function": (lambda m, x: scripted(x), "prim::CallFunction"),
    "a scatter that multiplies": (
        lambda m, x: x.scatter(1, x.argmax(1, keepdim=True), x, reduce="multiply"),
        "scatter with `reduce`",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_name(name: str) -> None:
    function, message = REFUSED[name]
    with pytest.raises(UncountedOperation, match=message):
        count_flops(Run(function), SHAPE)  # the trace alone: `count` would also ask the counter of dispatched operations


@pytest.mark.parametrize("kind", ["prim::If", "prim::Loop", "prim::CallMethod"])
def test_control_flow_that_a_trace_keeps_is_refused(kind: str) -> None:
    handle = HANDLES[kind]
    assert handle is not None
    with pytest.raises(UncountedOperation, match="scripted module"):
        handle([], [])


def test_a_refusal_says_what_to_write_instead() -> None:
    with pytest.raises(UncountedOperation, match=r"in Run\. Write a product .* with dcdnas\.operators\.product"):
        count(lambda m, x: x**2)
