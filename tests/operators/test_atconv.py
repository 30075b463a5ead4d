"""ATConv: equal to the published layer's numbers and to the paper's equation, its pooling, its places, its starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from contract import place, randomise
from reproduced import check_reproduced
from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import metrics
from dcdnas.errors import GeometryError
from dcdnas.operators._pool import bands
from dcdnas.operators.atconv import ATConv

VECTORS = Path(__file__).parent / "vectors"
LAYERS = {"x_proj": "0", "proj": "2", "kernel_gen": "1.generate"}
PUBLISHED = {"atconv-3x3-8": (8, 3), "atconv-5x5-6": (6, 5)}
"""Vector -> channels and kernel size. Its layers before the pooling and before the convolution have the same weights."""


def published(name: str, portable: bool) -> tuple[nn.Sequential, dict[str, Tensor]]:
    """The operator between two 1x1 layers, with a vector's weights in float64, and the vector."""
    vector = {k: torch.from_numpy(v) for k, v in np.load(VECTORS / f"{name}.npz").items()}
    channels, k = PUBLISHED[name]
    operator = ATConv(channels, channels, k, padding=k // 2, groups=channels, own_taps=False, pool="bands")
    operator.portable = portable
    whole = nn.Sequential(nn.Conv2d(channels, channels, 1), operator, nn.Conv2d(channels, channels, 1)).double()
    state = {"1.inhibition": vector["w:difference_control"]}
    for key, value in vector.items():
        layer, _, kind = key.removeprefix("w:").partition(".")
        if layer in LAYERS:
            state[f"{LAYERS[layer]}.{kind}"] = value
    whole.load_state_dict(state)
    return whole, vector


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_layers_outputs_and_gradients_are_reproduced(name, portable):
    check_reproduced(*published(name, portable))


@pytest.mark.parametrize("own_taps", [False, True])
def test_it_is_the_papers_equation_tap_by_tap(own_taps):
    torch.manual_seed(0)
    layer = randomise(ATConv(4, 4, 3, stride=2, padding=2, dilation=2, groups=4, own_taps=own_taps).double().eval())
    x = torch.randn(1, 4, 7, 5, dtype=torch.float64)
    seen = torch.zeros(4, 9, dtype=torch.float64)
    for row in range(3):
        for column in range(3):
            top, bottom, left, right = row * 7 // 3, -(-(row + 1) * 7 // 3), column * 5 // 3, -(-(column + 1) * 5 // 3)
            seen[:, 3 * row + column] = F.gelu(x[0, :, top:bottom, left:right].mean((1, 2)))
    kernel = torch.einsum("ts,cs->ct", layer.generate.weight, seen) + (0 if own_taps else layer.generate.bias)
    kernel = kernel - kernel.sum(1, keepdim=True) / 9 / (1 + (-layer.inhibition[:, None]).exp()) + (layer.own if own_taps else 0)
    expected = F.conv2d(x, kernel.view(4, 1, 3, 3), None, 2, 2, 2, 4)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(14, 14), (7, 5), (3, 3), (2, 1), (8, 9)])
def test_the_bands_are_those_of_adaptive_pooling_of_the_flattened_map(size):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    torch.testing.assert_close(bands(x, 9), F.adaptive_avg_pool1d(x.flatten(2), 9), rtol=0, atol=1e-14)


def test_a_grid_moves_and_flips_with_the_map_and_bands_do_not():
    x = torch.randn(1, 4, 9, 9, dtype=torch.float64)
    for pool, follows in (("grid", True), ("bands", False)):
        layer = randomise(ATConv(4, 4, 3, padding=1, pool=pool).double())
        with torch.no_grad():
            layer.generate.weight.copy_(torch.eye(9))
        flipped = torch.unflatten(layer.filters(x.flip(3)), 2, (3, 3)).flip(3).flatten(2)
        assert torch.allclose(flipped, layer.filters(x)) == follows


@pytest.mark.parametrize(
    ("own_taps", "k", "params"), [(False, 3, 81 + 9 + 64), (True, 3, 81 + 9 * 64 + 64), (False, 5, 625 + 25 + 64)]
)
def test_the_parameters_are_those_of_the_published_layer_and_own_taps(own_taps, k, params):
    layer = ATConv(64, 64, k, padding=k // 2, groups=64, own_taps=own_taps)
    assert sum(p.numel() for p in layer.parameters()) == params


def test_the_multiply_adds_are_those_of_its_formula():
    geometry = ConvGeometry(64, 64, 3, 2, groups=64, height=14, width=14)
    assert ATConv.multiply_adds(geometry, ATConv.resolve(geometry)) == 64 * (81 + 1 + 7 * 7 * 9)


@pytest.mark.parametrize(
    ("geometry", "said"),
    [(ConvGeometry(8, 16, 3), "cannot turn 8 channels into 16"), (ConvGeometry(8, 8, 1), "its kernel cannot be 1x1")],
)
def test_what_does_not_fit_is_refused(geometry, said):
    with pytest.raises(GeometryError, match=f"atconv .*{said}"):
        ATConv.resolve(geometry)


def test_in_a_dense_place_it_filters_each_channel_by_itself():
    assert sum(p.numel() for p in ATConv(64, 64, 3, padding=1).parameters()) == 81 + 9 * 64 + 64


@pytest.mark.parametrize("own_taps", [False, True])
@pytest.mark.parametrize("pool", ["grid", "bands"])
def test_the_static_start_is_one_depthwise_convolution_for_every_input_and_learns(own_taps, pool):
    layer, x = ATConv(6, 6, 3, padding=1, groups=6, own_taps=own_taps, pool=pool), torch.randn(4, 6, 7, 7)
    made = layer.filters(x)
    assert made.std(0).max() == 0
    kernel = layer.own if own_taps else made[0]
    y = layer(x)
    torch.testing.assert_close(y, F.conv2d(x, kernel.reshape(6, 1, 3, 3), padding=1, groups=6), rtol=1e-4, atol=1e-5)
    y.square().sum().backward()
    assert layer.generate.weight.grad.abs().max() > 0


def test_the_published_start_has_a_small_kernel_that_depends_on_the_input():
    layer, x = ATConv(6, 6, 3, padding=1, own_taps=False, init="published"), torch.randn(4, 6, 7, 7)
    assert layer.generate.bias.abs().max() == 0
    assert 0 < layer.filters(x).std(0).max() < 0.2


def test_of_the_kernels_mean_the_inhibition_leaves_a_share():
    layer, x = randomise(ATConv(6, 6, 3, padding=1).double()), torch.randn(2, 6, 7, 7, dtype=torch.float64)
    full = layer.filters(x)
    with torch.no_grad():
        layer.inhibition.fill_(-40.0)
        free = layer.filters(x).mean(2)
        layer.inhibition.fill_(40.0)
        none = layer.filters(x).mean(2)
    assert none.abs().max() < 1e-12
    assert (full.mean(2).abs() < free.abs()).all()


def test_a_layer_continues_one_that_pools_alike():
    layer = ATConv(8, 8, 3, pool="grid")
    assert layer.continues(ATConv(16, 16, 3, pool="grid"))
    assert not layer.continues(ATConv(8, 8, 3, pool="bands"))
    assert not layer.continues(ATConv(8, 8, 5, pool="grid"))


def test_each_sample_has_a_depthwise_kernel_of_its_own():
    geometry = place(6, 6, 3, groups=6)
    assert metrics["kernel-memory"].measure(ATConv.at(geometry), (6, 7, 6)) == 4 * 6 * 9
