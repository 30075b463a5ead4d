"""An operator in the place of a trained convolution: the same function, what it takes, and what it refuses by name."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import pytest
import torch
from contract import refusal, sampled
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import GeometryError, UsageError
from dcdnas.operators import operators

STARTS = sorted({*operators} - {"ghost"})
"""Operators that can begin as some convolution."""

CHANNELWISE = ("atconv", "ddf", "idconv", "involution", "lsconv", "mixconv")

CONVS: dict[str, dict[str, Any]] = {
    "plain": {"padding": 1, "bias": True},
    "valid, strided": {"stride": 2, "padding": 0},
    "dilated, same": {"dilation": 2, "padding": "same"},
    "grouped": {"groups": 4, "padding": 1, "bias": True},
    "depthwise": {"groups": 16, "padding": 2, "bias": True},
    "pointwise": {"kernel_size": 1},
}
"""Arguments of a Conv2d with 16 channels in and out, and a 3x3 kernel where nothing else is said."""

Conv = Any


def conv(**arguments: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(16, 16, **{"kernel_size": 3, "bias": False, **arguments}).double()


def place(of: nn.Conv2d) -> ConvGeometry:
    return ConvGeometry(16, 16, of.kernel_size[0], of.stride[0], of.groups, of.dilation[0])


def image() -> Tensor:
    return torch.randn(2, 16, 9, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def taken(name: str, of: nn.Conv2d) -> bool:
    return refusal(operators[name], place(of)) is None and (name not in CHANNELWISE or of.groups == 16)


BEGUN = [
    pytest.param(name, kind, marks=[pytest.mark.slow] * (kind != ("depthwise" if name in CHANNELWISE else quick)))
    for name, quick in zip(STARTS, cycle(CONVS), strict=False)
    for kind in CONVS
]
"""All pairs; the fast run has each operator with one convolution that it can begin as, turn by turn."""


@pytest.mark.parametrize(("name", "kind"), BEGUN)
def test_an_operator_begins_as_the_convolution_it_was_made_from(name, kind):
    given = conv(**CONVS[kind])
    if not taken(name, given):
        with pytest.raises(GeometryError, match=name):
            operators[name].from_conv(given)
        return
    for settings in sampled(name, place(given), 8):
        if settings.get("budget", 1) < 1 or not settings.get("own_taps", True):  # not enough weights to begin as any kernel
            with pytest.raises(GeometryError, match=r"Allowed: (a budget of 1 or more|own_taps=True)"):
                operators[name].from_conv(given, **settings)
            continue
        for training in (True, False):
            made = operators[name].from_conv(given.train(training), **settings)
            found, wanted = made(image()), given(image())
            assert (made.training, made.weight.dtype if hasattr(made, "weight") else torch.float64) == (training, torch.float64)
            assert found.shape == wanted.shape
            assert (found - wanted).abs().max() < 1e-9 * wanted.abs().max(), (settings, training)


@pytest.mark.parametrize("name", STARTS)
def test_every_parameter_that_differs_from_a_static_convolution_gets_a_finite_gradient(name):
    made = operators[name].from_conv(conv(groups=16, padding=1))
    made(image()).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())
    assert any(p.grad.abs().max() > 0 for n, p in made.named_parameters() if n not in ("weight", "bias")) or name == "static"


@pytest.mark.parametrize("name", ["odconv", "dyconv", "condconv", "drconv"])
def test_the_kernels_of_a_mixture_are_not_one(name):
    kernels = operators[name].from_conv(conv(padding=1), **({"num_kernels": 4} if name != "condconv" else {})).weight
    assert (kernels - kernels[0]).abs().amax((1, 2))[1:].min() > 0.01


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"kernel_size": (3, 5)}, r"kernel_size must be one whole number for both axes, not \(3, 5\)"),
        ({"stride": (1, 2)}, "stride must be one whole number"),
        ({"dilation": (1, 2)}, "dilation must be one whole number"),
        ({"padding": (0, 1)}, "padding must be one whole number"),
        ({"padding": 1, "padding_mode": "reflect"}, r"padding_mode is 'reflect'. Allowed: 'zeros'"),
        ({"kernel_size": 2, "padding": "same"}, "padding 'same' is asymmetric for an even kernel"),
    ],
)
def test_what_an_operator_cannot_do_is_refused_by_name(arguments, said):
    with pytest.raises(GeometryError, match=said):
        operators["odconv"].from_conv(conv(**arguments))


class Padded(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.pad(x, (0, 1, 0, 1)))


def hooked() -> nn.Conv2d:
    found = conv()
    found.register_forward_hook(lambda *_: None)
    return found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (nn.Conv1d(16, 16, 3), "Conv1d is not a Conv2d"),
        (nn.ConvTranspose2d(16, 16, 3), "ConvTranspose2d is not a Conv2d"),
        (Padded(16, 16, 3), "Padded overrides the forward pass of torch.nn.Conv2d"),
        (nn.LazyConv2d(16, 3), "it has no weight yet"),
        (hooked(), "it has forward hooks"),
        (weight_norm(conv()), "a parametrization computes its weight"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_is_no_plain_convolution_is_refused_by_name(given, said):
    with pytest.raises(GeometryError, match=said):
        operators["odconv"].from_conv(given)


@pytest.mark.parametrize("name", ["colour", "init", "guide_channels", "bias"])
def test_a_setting_that_is_unknown_or_follows_from_the_convolution_is_refused(name):
    with pytest.raises(UsageError, match=rf"ODConv has no setting '{name}' here. Known: num_kernels"):
        operators["odconv"].from_conv(conv(), **{name: 1})


def test_an_operator_that_computes_something_of_its_own_does_not_inherit_how_its_base_begins():
    class Doubled(operators["static"]):
        def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
            return 2 * super().forward(x)

    with pytest.raises(GeometryError, match="Doubled cannot be initialised from a given convolution"):
        Doubled.from_conv(conv())


def test_a_static_operator_is_one_of_torchs_convolutions_again():
    given = conv(stride=2, padding=1, groups=4, bias=True)
    again = operators["static"].from_conv(given).as_conv2d()
    assert torch.equal(again(image()), given(image()))
