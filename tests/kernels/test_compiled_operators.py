"""The compiled kernels of filters that differ from pixel to pixel, and of dynamic activations: equal to torch's operations."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dcdnas.kernels import Filtering, dynamic_activation, dynamic_activation_fits, in_use, pixel_filter, pixel_filter_fits
from dcdnas.operators import DynamicActivation, dynamic_activations, operators
from dcdnas.operators._decoupled import decoupled_filter
from dcdnas.operators._pixelwise import filtered

pytestmark = pytest.mark.skipif(not in_use(), reason="no C compiler")


@pytest.fixture(autouse=True)
def _seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def last(*shape: int) -> Tensor:
    """A random map in channels-last memory that wants a gradient."""
    return torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()


def assert_close(one: Tensor, other: Tensor, tolerance: float) -> None:
    """Equal to a share of the largest value, or of 1."""
    one, other = one.detach().double(), other.detach().double()
    assert one.shape == other.shape
    assert (one - other).abs().max() <= tolerance * max(1.0, float(other.abs().max()))


def assert_equal(ours: Callable[..., Tensor], torchs: Callable[..., Tensor], given: Sequence[Tensor]) -> None:
    """Outputs and gradients are those of torch in float64, relative to the largest value."""
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    y, z = ours(*given), torchs(*exact)
    assert y.is_contiguous(memory_format=torch.channels_last)
    g = torch.randn(y.shape)
    found, right = torch.autograd.grad(y, given, g), torch.autograd.grad(z, exact, g.double())
    for one, other in zip((y, *found), (z, *right), strict=True):
        assert_close(one, other, 1e-5)


# ---- filters that differ from pixel to pixel ----------------------------------------------------------------------------

PLACES = {
    "3x3": ((2, 8, 7, 9), 4, (3, 1, 1, 1)),
    "one filter for all channels": ((3, 5, 8, 8), 1, (3, 1, 1, 1)),
    "a filter for each channel": ((2, 19, 6, 5), 19, (3, 1, 1, 1)),
    "5x5 with stride": ((2, 6, 9, 8), 2, (5, 2, 2, 1)),
    "dilated": ((2, 4, 9, 9), 2, (3, 1, 2, 2)),
    "dilated with stride": ((2, 4, 9, 8), 2, (3, 2, 2, 2)),
    "without padding": ((2, 12, 7, 7), 3, (3, 1, 0, 1)),
    "wide padding": ((1, 3, 5, 4), 3, (3, 3, 4, 1)),
    "more than a tile of pixels": ((2, 34, 18, 17), 17, (3, 1, 1, 1)),
}
"""Map, number of filters, and kernel size, stride, padding and dilation."""


def filters_for(x: Tensor, groups: int, place: tuple[int, ...], channels_last: bool) -> Tensor:
    """Filters (N, G, k*k, H', W') in the memory of a convolution's output, or in ordinary memory."""
    k, stride, padding, dilation = place
    out = [(side + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for side in x.shape[2:]]
    made = torch.randn(len(x), groups * k * k, *out)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.unflatten(made.contiguous(memory_format=layout), 1, (groups, k * k)).requires_grad_()


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("name", PLACES)
def test_filters_with_and_without_own_taps_are_equal_to_torchs(name: str, own: bool, interleaved: bool) -> None:
    shape, groups, place = PLACES[name]
    x = last(*shape)
    filters, taps = filters_for(x, groups, place, channels_last=interleaved), None
    if own:
        taps = torch.randn(place[0] ** 2, shape[1]).t().requires_grad_()

    def plain(x: Tensor, filters: Tensor, taps: Tensor | None = None) -> Tensor:
        return filtered(x, filters, taps, interleaved, *place)

    how = Filtering(*place, interleaved, "sum", plain)
    assert pixel_filter_fits(x, filters, taps)
    given = [x, filters] if taps is None else [x, filters, taps]
    assert_equal(lambda x, filters, taps=None: pixel_filter(x, filters, taps, how), plain, given)


@pytest.mark.parametrize("combine", ["sum", "product"])
@pytest.mark.parametrize("name", PLACES)
def test_filters_with_taps_of_each_sample_are_equal_to_torchs(name: str, combine: str) -> None:
    shape, groups, place = PLACES[name]
    x = last(*shape)
    filters = filters_for(x, groups, place, channels_last=True)
    taps = torch.randn(*shape[:2], place[0] ** 2).requires_grad_()

    def plain(x: Tensor, filters: Tensor, taps: Tensor) -> Tensor:
        return decoupled_filter(x, taps, filters, {"sum": "add", "product": "mul"}[combine], *place)

    how = Filtering(*place, False, combine, plain)  # type: ignore[arg-type]
    assert_equal(lambda *given: pixel_filter(*given, how), plain, [x, filters, taps])


def test_maps_in_contiguous_memory_and_empty_batches_are_left_to_torch() -> None:
    filters = torch.randn(2, 2, 9, 7, 7)
    assert pixel_filter_fits(last(2, 4, 7, 7), filters, None)
    assert not pixel_filter_fits(torch.randn(2, 4, 7, 7), filters, None)
    assert not pixel_filter_fits(last(0, 4, 7, 7), filters[:0], None)
    assert not pixel_filter_fits(last(2, 4, 7, 7), filters.double(), None)


# ---- dynamic activations --------------------------------------------------------------------------------------------------

MAPS = [(2, 1, 3, 3), (3, 2, 4, 5), (2, 16, 7, 9), (5, 19, 12, 12), (1, 40, 1, 1)]


def activation_of(name: str, channels: int) -> DynamicActivation:
    """An activation in the middle of a training, whose coefficients depend on the input."""
    made = dynamic_activations[name](channels)
    nn.init.normal_(made.expand.weight)
    nn.init.normal_(made.expand.bias)
    return made


@pytest.mark.parametrize("name", dynamic_activations)
@pytest.mark.parametrize("shape", MAPS, ids=str)
def test_a_dynamic_activation_is_equal_to_torchs(shape: tuple[int, ...], name: str) -> None:
    made, x, coefficients = activation_of(name, shape[1]), last(*shape), torch.randn(4, *shape[:2]).requires_grad_()
    assert dynamic_activation_fits(x, coefficients)
    assert_equal(lambda x, given: dynamic_activation(x, given, made.SHIFTED, made._larger), made._larger, [x, coefficients])


def test_equal_lines_share_the_gradient_as_in_torch() -> None:
    """A fresh DyReLU is a ReLU, and a map may hold many zeros."""
    made = dynamic_activations["dyrelu"](8)
    x = last(2, 8, 4, 4).detach().relu_().requires_grad_()
    coefficients = torch.zeros(4, 2, 8)
    coefficients[0] = 1
    assert_equal(
        lambda x, given: dynamic_activation(x, given, False, made._larger), made._larger, [x, coefficients.requires_grad_()]
    )


@pytest.mark.parametrize("name", dynamic_activations)
def test_nan_reaches_the_output(name: str) -> None:
    x = last(2, 3, 4, 4).detach()
    x[0, 1, 2, 2] = float("nan")
    y = activation_of(name, 3)(x.requires_grad_())
    assert y[0, 1].isnan().any()
    assert y[1].isfinite().all()


# ---- in the operators ----------------------------------------------------------------------------------------------------

OPERATORS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "ddf": (lambda: operators["ddf"](8, 8, 3, padding=1, groups=8, head=2), "_decoupled.pixel_filter"),
    "ddf add": (lambda: operators["ddf"](8, 8, 3, padding=1, groups=8, kernel_combine="add"), "_decoupled.pixel_filter"),
    "lsconv": (lambda: operators["lsconv"](8, 8, 3, padding=1, groups=8, group_channels=4), "_pixelwise.pixel_filter"),
    "involution": (lambda: operators["involution"](8, 8, 3, padding=1, groups=8, group_channels=4), "_pixelwise.pixel_filter"),
    "dyrelu": (lambda: activation_of("dyrelu", 8), "_dynamic_activation.dynamic_activation"),
    "dyshiftmax": (lambda: activation_of("dyshiftmax", 8), "_dynamic_activation.dynamic_activation"),
}
"""Makes the layer, and where it calls a compiled kernel."""


@pytest.mark.parametrize("name", OPERATORS)
def test_layers_train_with_them_and_with_torch_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make, place = OPERATORS[name]
    layer, x, called = make().train(), last(3, 8, 9, 9), []
    kernel: Callable[..., Any] = {"pixel_filter": pixel_filter, "dynamic_activation": dynamic_activation}[place.split(".")[1]]
    monkeypatch.setattr(f"dcdnas.operators.{place}", lambda *given: called.append(name) or kernel(*given))
    of = [x, *layer.parameters()]
    y = layer(x)
    assert called == [name]
    g = torch.randn(y.shape)
    found = torch.autograd.grad(y, of, g)
    monkeypatch.setattr(f"dcdnas.operators.{place}_fits", lambda *given: False)
    z = layer(x)
    for one, other in zip((y, *found), (z, *torch.autograd.grad(z, of, g)), strict=True):
        assert_close(one, other, 2e-5)
    with torch.no_grad():
        layer(x)
    assert called == [name]


@pytest.mark.parametrize("name", OPERATORS)
def test_the_gradients_have_gradients(name: str) -> None:
    """As torch's own: a gradient penalty trains, in float64 by torch and in float32 by the compiled kernels."""
    layer, x = OPERATORS[name][0]().train(), last(2, 8, 5, 5)

    def penalty(layer: nn.Module, x: Tensor) -> Tensor:
        (g,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(g.square().sum(), x)[0]

    assert_close(penalty(layer, x), penalty(copy.deepcopy(layer).double(), x.detach().double().requires_grad_()), 1e-4)
