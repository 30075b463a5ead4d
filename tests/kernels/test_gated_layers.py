"""ODConv as one compiled function: equal to the layer in torch's operations, and used in ordinary training only."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dcdnas.kernels import gated_fits, in_use
from dcdnas.operators.odconv import ODConv

pytestmark = pytest.mark.skipif(not in_use(), reason="no C compiler")

LAYERS: dict[str, tuple[tuple[int, int, int], dict[str, Any]]] = {
    "1x1": ((8, 24, 1), {}),
    "1x1, several kernels": ((24, 13, 1), {"num_kernels": 3}),
    "1x1, few channels": ((3, 5, 1), {"gates": "sigmoid"}),
    "depthwise": ((24, 24, 3), {"groups": 24, "padding": 1}),
    "depthwise, strided, several kernels": ((19, 19, 5), {"groups": 19, "padding": 2, "stride": 2, "num_kernels": 2}),
}


def layer_of(name: str) -> ODConv:
    """A layer in the middle of a training."""
    place, settings = LAYERS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = ODConv(*place, **settings)
        for head in layer.attention.layers:
            nn.init.normal_(head.weight, std=0.5)
            nn.init.normal_(head.bias)
    layer.attention.temperature.fill_(3.0)
    return layer.train()


def map_of(layer: ODConv, seed: int = 0) -> Tensor:
    """Four images in channels-last memory that want a gradient."""
    x = torch.randn(16, layer.in_channels, 6, 5, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def fits(layer: ODConv, x: Tensor) -> bool:
    """Whether the layer computes this map by the compiled function."""
    gated = layer._gated()
    return gated is not None and gated_fits(x, gated, layer._in_order())


@pytest.mark.parametrize("name", LAYERS)
def test_the_function_is_equal_to_the_layer_in_float64(name: str) -> None:
    layer = layer_of(name)
    exact, x = copy.deepcopy(layer).double(), map_of(layer)
    of = x.detach().double().requires_grad_()
    assert fits(layer, x)
    assert not fits(exact, of)
    y, z = layer(x), exact(of)
    g = torch.randn_like(y)
    found = (y, *torch.autograd.grad(y, (x, *layer.parameters()), g), *layer.buffers())
    right = (z, *torch.autograd.grad(z, (of, *exact.parameters()), g.double()), *exact.buffers())
    assert y.is_contiguous(memory_format=torch.channels_last)
    for one, other in zip((t.detach() for t in found), (t.detach() for t in right), strict=True):
        assert (one.double() - other).abs().max() <= 1e-5 * max(1.0, float(other.abs().max()))


def test_the_gradients_have_gradients_and_statistics_are_counted_once() -> None:
    layer = layer_of("depthwise")
    exact, x = copy.deepcopy(layer).double(), map_of(layer)

    def penalty(layer: ODConv, x: Tensor) -> Tensor:
        (g,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        (found,) = torch.autograd.grad(g.square().sum(), layer.weight)
        return found.double()

    assert fits(layer, x)
    ours, torchs = penalty(layer, x), penalty(exact, x.detach().double().requires_grad_())
    assert (ours - torchs).abs().max() <= 1e-4 * torchs.abs().max()
    assert layer.attention.norm.num_batches_tracked == 1


def hook(layer: ODConv) -> None:
    layer.attention.register_forward_hook(lambda module, given, gates: None)


def look(layer: ODConv) -> None:
    layer.observer = lambda name, attention, of_map: attention


ELSEWHERE: dict[str, Callable[[ODConv], object]] = {
    "in eval": ODConv.eval,
    "in a form that was asked for": lambda layer: setattr(layer, "training_form", "activation"),
    "with an observer": look,
    "with a hook": hook,
    "with a frozen norm": lambda layer: layer.attention.norm.eval(),
    "deployed": ODConv.deploy,
    "with another norm": lambda layer: setattr(layer.attention, "norm", nn.LayerNorm(16)),
}


@pytest.mark.parametrize("change", ELSEWHERE)
def test_elsewhere_torch_computes(change: str) -> None:
    layer = layer_of("1x1")
    assert fits(layer, map_of(layer))
    ELSEWHERE[change](layer)
    assert not fits(layer, map_of(layer))
    assert layer(map_of(layer)).isfinite().all()


def test_other_maps_and_layers_are_left_to_torch() -> None:
    layer = layer_of("1x1")
    assert not fits(layer, map_of(layer).detach().contiguous())
    assert not fits(layer, map_of(layer)[:1])
    with torch.no_grad():
        assert not fits(layer, map_of(layer))
    for place, settings in (((8, 8, 3), {"padding": 1}), ((8, 8, 1), {"bias": True}), ((8, 8, 1), {"groups": 2})):
        other = ODConv(*place, **settings).train()
        assert not fits(other, map_of(other))


def test_a_kernel_of_more_elements_than_its_map_is_left_to_torch() -> None:
    layer = ODConv(64, 128, 1).train()
    x = torch.randn(4, 64, 2, 2).contiguous(memory_format=torch.channels_last)
    assert not fits(layer, x)
    assert fits(layer, torch.randn(4, 64, 7, 7).contiguous(memory_format=torch.channels_last))
