"""Involution: equal to the published layer's numbers and to the paper's equation, its settings, its places, its starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from contract import place
from reproduced import check_reproduced
from torch import Tensor

from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import metrics
from dcdnas.errors import GeometryError
from dcdnas.operators._pixelwise import filtered
from dcdnas.operators.involution import Involution

VECTORS = Path(__file__).parent / "vectors"
LAYERS = {"conv1.0": "squeeze", "conv1.1": "norm", "conv2.0": "excite"}
PUBLISHED = {"involution-7x7-32": (32, 7, 1), "involution-3x3-stride2-16": (16, 3, 2)}
"""Vector -> channels, kernel size, stride."""


def published(name: str) -> tuple[Involution, dict[str, Tensor]]:
    """The operator with a vector's weights in float64, and the vector."""
    vector = {k: torch.from_numpy(v) for k, v in np.load(VECTORS / f"{name}.npz").items()}
    channels, k, stride = PUBLISHED[name]
    operator = Involution(channels, channels, k, stride, k // 2, own_taps=False).double()
    state = {}
    for key, value in vector.items():
        if key.startswith("w:"):
            layer, kind = key.removeprefix("w:").rsplit(".", 1)
            state[f"{LAYERS[layer]}.{kind}"] = value
    left = operator.load_state_dict(state, strict=False)
    assert (left.missing_keys, left.unexpected_keys) == ([], [])
    return operator, vector


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_layers_outputs_and_gradients_are_reproduced(name, portable):
    operator, vector = published(name)
    operator.portable = portable
    check_reproduced(operator, vector)


def by_the_equation(x: Tensor, filters: Tensor, own: Tensor | None, group_of: list[int], k: int) -> Tensor:
    """Pixel by pixel and tap by tap, at stride 1 with the padding that keeps the map's size."""
    channels, height, width = x.shape
    y = torch.zeros_like(x)
    for c in range(channels):
        for row in range(height):
            for column in range(width):
                for t in range(k * k):
                    u, v = row + t // k - k // 2, column + t % k - k // 2
                    if 0 <= u < height and 0 <= v < width:
                        weight = filters[group_of[c], t, row, column] + (0 if own is None else own[c, t])
                        y[c, row, column] += weight * x[c, u, v]
    return y


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("with_own", [False, True])
def test_filters_are_applied_as_the_equation_says(interleaved, with_own):
    torch.manual_seed(0)
    x, filters = torch.randn(1, 6, 4, 3).double(), torch.randn(1, 2, 9, 4, 3).double()
    own = torch.randn(6, 9).double() if with_own else None
    group_of = [c % 2 if interleaved else c // 3 for c in range(6)]
    expected = by_the_equation(x[0], filters[0], own, group_of, 3)
    torch.testing.assert_close(filtered(x, filters, own, interleaved, 3, 1, 1)[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("own_taps", [False, True])
def test_the_training_pass_that_keeps_little_has_the_gradients_of_the_other(own_taps):
    torch.manual_seed(0)
    layer, found = Involution(6, 6, 3, 2, 1, group_channels=3, own_taps=own_taps, init="published").double().train(), []
    for layer.portable in (False, True):
        x = torch.randn(2, 6, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
        layer.zero_grad()
        layer(x).square().sum().backward()
        found.append([x.grad, *(p.grad for p in layer.parameters())])
    for lean, plain in zip(*found, strict=True):
        torch.testing.assert_close(lean, plain, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("own_taps", "params"), [(False, 4_388), (True, 4_388 + 64 * 49)])
def test_the_parameters_are_those_of_the_published_layer_and_its_own_taps(own_taps, params):
    assert sum(p.numel() for p in Involution(64, 64, 7, padding=3, own_taps=own_taps).parameters()) == params


def test_the_multiply_adds_are_those_of_its_formula():
    geometry = ConvGeometry(64, 64, 7, groups=64, height=14, width=14)
    expected = 14 * 14 * (16 * (64 + 49 * 4) + 64 * 49)
    assert Involution.multiply_adds(geometry, Involution.resolve(geometry)) == expected


@pytest.mark.parametrize("own_taps", [False, True])
def test_the_static_start_is_one_depthwise_convolution_for_every_input_and_learns(own_taps):
    layer, x = Involution(8, 8, 3, padding=1, group_channels=4, own_taps=own_taps), torch.randn(4, 8, 7, 7)
    kernel = layer.own if own_taps else layer.excite.bias.view(2, 9).repeat_interleave(4, 0)
    y = layer(x)
    torch.testing.assert_close(y, F.conv2d(x, kernel.view(8, 1, 3, 3), padding=1, groups=8), rtol=1e-4, atol=1e-5)
    y.square().sum().backward()
    assert layer.excite.weight.grad.abs().max() > 0


def test_channels_that_share_a_filter_are_a_divisor():
    assert Involution.resolve(ConvGeometry(24, 24, 3))["group_channels"] == 12
    assert Involution.resolve(ConvGeometry(5, 5, 3))["group_channels"] == 5


@pytest.mark.parametrize(
    ("geometry", "said"),
    [(ConvGeometry(8, 16, 3), "cannot turn 8 channels into 16"), (ConvGeometry(8, 8, 1), "its kernel cannot be 1x1")],
)
def test_what_does_not_fit_is_refused(geometry, said):
    with pytest.raises(GeometryError, match=f"involution .*{said}"):
        Involution.resolve(geometry)


def test_its_kernels_are_the_filters_of_all_pixels():
    layer = Involution.at(place(16, 16, 3, dilation=2, height=9, width=8), group_channels=8)
    assert metrics["kernel-memory"].measure(layer, (16, 9, 8)) == 4 * 2 * 9 * 72
