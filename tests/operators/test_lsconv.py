"""LSConv: the equation of its paper computed another way, its published size, its settings and its starts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from contract import place, randomise
from torch import Tensor

from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import metrics
from dcdnas.errors import UsageError
from dcdnas.operators.lsconv import LSConv


def normalised(y: Tensor, norm: torch.nn.Module) -> Tensor:
    """A BatchNorm in eval, by its definition."""
    mean, variance, scale, shift = (t.view(-1, 1, 1) for t in (norm.running_mean, norm.running_var, norm.weight, norm.bias))
    return (y - mean) / (variance + norm.eps).sqrt() * scale + shift


def by_the_equation(layer: LSConv, x: Tensor, k: int, group_channels: int) -> Tensor:
    """One image (C, H, W), pixel by pixel, from the layer's parameters alone."""
    (channels, height, width), first, second, third = x.shape, *layer.norms
    hidden = torch.einsum("hc,cuv->huv", layer.squeeze.weight[:, :, 0, 0], x)
    hidden = normalised(hidden, first).clamp_min(0)
    reach = layer.large // 2
    padded, looked = F.pad(hidden, (reach,) * 4), torch.zeros_like(hidden)
    for u in range(layer.large):
        for v in range(layer.large):
            looked += layer.look.weight[:, 0, u, v, None, None] * padded[:, u : u + height, v : v + width]
    looked = normalised(looked, second)
    mixed = normalised(torch.einsum("hj,juv->huv", layer.mix.weight[:, :, 0, 0], looked), third).clamp_min(0)
    made = torch.einsum("fh,huv->fuv", layer.excite.weight[:, :, 0, 0], mixed) + layer.excite.bias.view(-1, 1, 1)
    groups = channels // group_channels
    filters, gn = made.view(groups, k * k, height, width), layer.filter_norm
    mean, variance = (m.view(-1, 1, 1, 1) for m in (filters.mean((1, 2, 3)), filters.var((1, 2, 3), correction=0)))
    filters = (filters - mean) / (variance + gn.eps).sqrt()
    filters = filters * gn.weight.view(groups, -1, 1, 1) + gn.bias.view(groups, -1, 1, 1)
    around, y = F.pad(x, (k // 2,) * 4), torch.zeros_like(x)
    for c in range(channels):
        for t in range(k * k):
            own = 0 if layer.own is None else layer.own[c, t]
            seen = around[c, t // k : t // k + height, t % k : t % k + width]
            y[c] += (filters[c % groups, t] + own) * seen
    return y


@pytest.mark.parametrize("own_taps", [False, True])
def test_it_is_the_papers_equation(own_taps):
    torch.manual_seed(0)
    layer = randomise(LSConv(12, 12, 3, padding=1, groups=12, group_channels=4, large=5, own_taps=own_taps).double().eval())
    x = torch.randn(2, 12, 6, 5, dtype=torch.float64)
    expected = torch.stack([by_the_equation(layer, image, 3, 4) for image in x])
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("own_taps", "params"), [(False, 7_480 - 2 * 64), (True, 7_480 - 2 * 64 + 64 * 9)])
def test_the_parameters_are_those_of_the_published_layer_without_its_last_norm(own_taps, params):
    assert sum(p.numel() for p in LSConv(64, 64, 3, padding=1, groups=64, own_taps=own_taps).parameters()) == params


def test_the_multiply_adds_are_those_of_its_formula():
    geometry = ConvGeometry(64, 64, 3, 2, groups=64, height=14, width=14)
    expected = 32 * (64 * 14 * 14 + 7 * 7 * (49 + 32 + 9 * 8)) + 7 * 7 * 64 * 9
    assert LSConv.multiply_adds(geometry, LSConv.resolve(geometry)) == expected


@pytest.mark.parametrize("own_taps", [False, True])
def test_the_static_start_is_one_depthwise_convolution_for_every_input_and_learns(own_taps):
    layer, x = LSConv(8, 8, 3, padding=1, group_channels=4, own_taps=own_taps), torch.randn(4, 8, 7, 7)
    y = layer(x)
    pattern = layer.filters(x)
    assert pattern.std((0, 3, 4)).max() < 1e-5
    kernel = layer.own if own_taps else pattern[0, :, :, 0, 0].repeat(4, 1)
    torch.testing.assert_close(y, F.conv2d(x, kernel.reshape(8, 1, 3, 3), padding=1, groups=8), rtol=1e-3, atol=1e-5)
    y.square().sum().backward()
    learns = layer.filter_norm.weight if own_taps else layer.excite.weight
    assert learns.grad.abs().max() > 0


def test_a_large_kernel_is_odd():
    with pytest.raises(UsageError, match=r"large cannot be 4\. Allowed: an odd number, 3 to 15"):
        LSConv(8, 8, 3, large=4)


def test_deployed_it_has_no_batchnorm():
    layer, x = randomise(LSConv(8, 8, 3, padding=1).double().eval()), torch.randn(2, 8, 6, 5, dtype=torch.float64)
    before = layer(x)
    layer.deploy()
    assert not any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in layer.modules())
    torch.testing.assert_close(layer(x), before, rtol=0, atol=1e-12)


def test_its_kernels_are_the_filters_of_all_pixels():
    layer = LSConv.at(place(16, 16, 3, dilation=2, height=9, width=8))
    assert metrics["kernel-memory"].measure(layer, (16, 9, 8)) == 4 * 2 * 9 * 72
