"""ODConv and DCD as one compiled function each: equal to the layer in torch's operations, and used in ordinary training only."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dcdnas.kernels import decomposed_fits, gated_fits, in_use
from dcdnas.operators.dcd import DCD
from dcdnas.operators.odconv import ODConv

pytestmark = pytest.mark.skipif(not in_use(), reason="no C compiler")

Layer = ODConv | DCD

LAYERS: dict[str, tuple[type[Layer], tuple[int, int, int], dict[str, Any]]] = {
    "odconv": (ODConv, (8, 24, 1), {}),
    "odconv, several kernels": (ODConv, (24, 13, 1), {"num_kernels": 3}),
    "odconv, few channels": (ODConv, (3, 5, 1), {"gates": "sigmoid"}),
    "odconv, depthwise": (ODConv, (24, 24, 3), {"groups": 24, "padding": 1}),
    "odconv, depthwise, strided, several kernels": (
        ODConv,
        (19, 19, 5),
        {"groups": 19, "padding": 2, "stride": 2, "num_kernels": 2},
    ),
    "dcd": (DCD, (8, 24, 1), {}),
    "dcd, few latent channels": (DCD, (24, 13, 1), {"latent_dim": 2}),
    "dcd, depthwise": (DCD, (24, 24, 3), {"groups": 24, "padding": 1}),
    "dcd, depthwise, strided": (DCD, (19, 19, 5), {"groups": 19, "padding": 2, "stride": 2}),
}


def layer_of(name: str) -> Layer:
    """A layer in the middle of a training."""
    cls, place, settings = LAYERS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = cls(*place, **settings)
        for parameter in layer.parameters():
            nn.init.normal_(parameter, std=0.5)
    if isinstance(layer, ODConv):
        layer.attention.temperature.fill_(3.0)
    return layer.train()


def map_of(layer: Layer) -> Tensor:
    """Sixteen images in channels-last memory that want a gradient."""
    x = torch.randn(16, layer.in_channels, 6, 5, generator=torch.Generator().manual_seed(0))
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def fits(layer: Layer, x: Tensor) -> bool:
    """Whether the layer computes this map by the compiled function."""
    if isinstance(layer, ODConv):
        gated = layer._gated()
        return gated is not None and gated_fits(x, gated, layer._in_order())
    decomposed = layer._decomposed()
    return decomposed is not None and decomposed_fits(x, decomposed, layer._in_order())


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


@pytest.mark.parametrize("name", ["odconv, depthwise", "dcd"])
def test_the_gradients_have_gradients_and_statistics_are_counted_once(name: str) -> None:
    layer = layer_of(name)
    exact, x = copy.deepcopy(layer).double(), map_of(layer)

    def penalty(layer: Layer, x: Tensor) -> Tensor:
        (g,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        (found,) = torch.autograd.grad(g.square().sum(), layer.weight)
        return found.double()

    assert fits(layer, x)
    ours, torchs = penalty(layer, x), penalty(exact, x.detach().double().requires_grad_())
    assert (ours - torchs).abs().max() <= 1e-4 * torchs.abs().max()
    assert layer.training_form == ""
    if isinstance(layer, ODConv):
        assert layer.attention.norm.num_batches_tracked == 1


def controller(layer: Layer) -> nn.Module:
    return layer.attention if isinstance(layer, ODConv) else layer.controller


def look(layer: Layer) -> None:
    layer.observer = lambda name, attention, of_map: attention


ELSEWHERE: dict[str, Callable[[Layer], object]] = {
    "in eval": lambda layer: layer.eval(),
    "in a form that was asked for": lambda layer: setattr(layer, "training_form", "activation"),
    "with an observer": look,
    "with a hook": lambda layer: controller(layer).register_forward_hook(lambda module, given, out: None),
    "with a hook on a part": lambda layer: controller(layer).squeeze.register_forward_hook(lambda module, given, out: None),
    "deployed": lambda layer: layer.deploy(),
}


@pytest.mark.parametrize("change", ELSEWHERE)
@pytest.mark.parametrize("name", ["odconv", "dcd"])
def test_elsewhere_torch_computes(name: str, change: str) -> None:
    layer = layer_of(name)
    assert fits(layer, map_of(layer))
    ELSEWHERE[change](layer)
    assert not fits(layer, map_of(layer))
    if change != "deployed":
        assert layer(map_of(layer)).isfinite().all()


def test_norms_that_do_not_train_are_left_to_torch() -> None:
    for norm in (nn.LayerNorm(16), layer_of("odconv").attention.norm.eval()):
        layer = layer_of("odconv")
        layer.attention.norm = norm
        assert not fits(layer, map_of(layer))


@pytest.mark.parametrize("cls", [ODConv, DCD])
def test_other_maps_and_layers_are_left_to_torch(cls: type[Layer]) -> None:
    layer = cls(8, 24, 1).train()
    assert not fits(layer, map_of(layer).detach().contiguous())
    assert not fits(layer, map_of(layer)[:1])
    with torch.no_grad():
        assert not fits(layer, map_of(layer))
    for place, settings in (((8, 8, 3), {"padding": 1}), ((8, 8, 1), {"bias": True}), ((8, 8, 1), {"groups": 2})):
        other = cls(*place, **settings).train()
        assert not fits(other, map_of(other))


@pytest.mark.parametrize(("cls", "settings"), [(DCD, {}), (ODConv, {}), (ODConv, {"num_kernels": 2})])
def test_a_depthwise_layer_with_several_outputs_a_channel_trains_without_the_compiled_function(
    cls: type[Layer], settings: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    layer = cls(4, 12, 3, groups=4, padding=1, **settings).train()
    exact, x = copy.deepcopy(layer).double(), map_of(layer)
    of = x.detach().double().requires_grad_()
    assert not fits(layer, x)
    y, z = layer(x), exact(of)
    g = torch.randn_like(y)
    for one, other in zip(
        (y.detach(), *torch.autograd.grad(y, (x, *layer.parameters()), g)),
        (z.detach(), *torch.autograd.grad(z, (of, *exact.parameters()), g.double())),
        strict=True,
    ):
        assert (one.double() - other).abs().max() <= 1e-5 * max(1.0, float(other.abs().max()))


def narrow(width: int) -> ODConv:
    """A layer whose attention is narrower than any setting makes it."""
    layer = ODConv(8, 24, 1).train()
    attention = layer.attention
    attention.squeeze, attention.norm = nn.Linear(8, width, bias=False), type(attention.norm)(width)  # type: ignore[assignment]
    for name, head in zip(attention.heads, attention.layers, strict=True):
        setattr(attention, name, nn.Linear(width, head.out_features))
    return layer


def test_a_narrow_attention_of_a_number_of_images_that_fills_no_vectors_is_left_to_torch() -> None:
    layer = narrow(3)
    assert fits(layer, map_of(layer))
    assert not any(fits(layer, map_of(layer)[:images]) for images in (3, 7, 15))
    for images in (16, 15, 3):
        exact, x = copy.deepcopy(layer).double(), map_of(layer)[:images]
        assert (layer(x) - exact(x.double())).abs().max() <= 1e-5


@pytest.mark.parametrize("settings", [{"variant": "code"}, {"num_blocks": 2}, {"channel_attention": False}], ids=str)
def test_other_kinds_of_dcd_are_left_to_torch(settings: dict[str, Any]) -> None:
    layer = DCD(8, 24, 1, **settings).train()
    assert not fits(layer, map_of(layer))


@pytest.mark.parametrize("cls", [ODConv, DCD])
def test_a_kernel_of_more_elements_than_its_map_is_left_to_torch(cls: type[Layer]) -> None:
    layer = cls(64, 128, 1).train()
    assert not fits(layer, torch.randn(4, 64, 2, 2).contiguous(memory_format=torch.channels_last))
    assert fits(layer, torch.randn(4, 64, 7, 7).contiguous(memory_format=torch.channels_last))
