"""IDConv: equal to the published layer's numbers and to the paper's equation, its pooling, its places, its starts."""

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
from dcdnas.operators._pool import tiles
from dcdnas.operators.idconv import IDConv

VECTORS = Path(__file__).parent / "vectors"
LAYERS = {"0.0": "squeeze", "0.1": "norm", "1": "excite"}
PUBLISHED = {"idconv-3x3-G2": (8, 3, 4, False), "idconv-7x7-G2-bias": (6, 7, 2, True)}
"""Vector -> channels, kernel size, reduction and whether it has a bias."""


def published(name: str) -> tuple[IDConv, dict[str, Tensor]]:
    """The operator with a vector's weights in float64, and the vector."""
    vector = {k: torch.from_numpy(v) for k, v in np.load(VECTORS / f"{name}.npz").items()}
    channels, k, reduction, bias = PUBLISHED[name]
    operator = IDConv(channels, channels, k, padding=k // 2, groups=channels, reduction=reduction, bias=bias).double()
    state = {"weight": vector["w:weight"].flatten(2)} | ({"bias": vector["w:bias"]} if bias else {})
    for key, value in vector.items():
        if key.startswith("w:proj."):
            layer, kind = key.removeprefix("w:proj.").rsplit(".", 1)
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


def test_it_is_the_papers_equation_tap_by_tap():
    torch.manual_seed(0)
    layer = IDConv(4, 4, 3, stride=2, padding=2, dilation=2, groups=4, num_kernels=3, init="published").double().eval()
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(1, 4, 7, 5, dtype=torch.float64)
    kernel = torch.zeros(4, 1, 3, 3, dtype=torch.float64)
    for row in range(3):
        for column in range(3):
            top, bottom, left, right = row * 7 // 3, -(-(row + 1) * 7 // 3), column * 5 // 3, -(-(column + 1) * 5 // 3)
            seen = x[..., top:bottom, left:right].mean((2, 3), keepdim=True)
            logits = layer.excite(F.gelu(layer.norm(layer.squeeze(seen)))).view(3, 4)
            shares = logits.exp() / logits.exp().sum(0)
            kernel[:, 0, row, column] = (shares * layer.weight.view(3, 4, 3, 3)[..., row, column]).sum(0)
    expected = F.conv2d(x, kernel, None, 2, 2, 2, 4)
    torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [(7, 5), (3, 3), (2, 1), (8, 9)])
def test_the_tiles_are_those_of_adaptive_pooling(size):
    """With gradients torch's pooling runs on a CPU, without them the slices that exporters get."""
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        sliced = tiles(x, 3)
    trained = tiles(x, 3)
    assert "AdaptiveAvgPool2D" in str(trained.grad_fn) or size == (3, 3)
    for found in (sliced, trained):
        torch.testing.assert_close(found, F.adaptive_avg_pool2d(x, 3), rtol=0, atol=1e-14)


@pytest.mark.parametrize(("bias", "params"), [(True, 9_632), (False, 9_504)])
def test_the_parameters_are_those_of_the_published_layer(bias, params):
    layer = IDConv(64, 64, 7, padding=3, groups=64, bias=bias)
    assert sum(p.numel() for p in layer.parameters()) == params


def test_the_multiply_adds_are_those_of_its_formula():
    geometry = ConvGeometry(64, 64, 7, groups=64, height=14, width=14)
    expected = 49 * 16 * 64 * 3 + (2 + 14 * 14) * 64 * 49
    assert IDConv.multiply_adds(geometry, IDConv.resolve(geometry)) == expected


@pytest.mark.parametrize(
    ("geometry", "said"),
    [(ConvGeometry(8, 16, 3), "cannot turn 8 channels into 16"), (ConvGeometry(8, 8, 1), "its kernel cannot be 1x1")],
)
def test_what_does_not_fit_is_refused(geometry, said):
    with pytest.raises(GeometryError, match=f"idconv .*{said}"):
        IDConv.resolve(geometry)


def test_in_a_dense_place_it_filters_each_channel_by_itself():
    assert sum(p.numel() for p in IDConv(64, 64, 7, padding=3).parameters()) == 9_504


def test_the_static_start_is_one_convolution_for_every_input_and_learns():
    layer, x = IDConv(6, 6, 3, padding=1, groups=6), torch.randn(4, 6, 7, 7)
    expected = F.conv2d(x, layer.weight.mean(0).view(6, 1, 3, 3), padding=1, groups=6)
    y = layer(x)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5)
    y.square().sum().backward()
    assert layer.excite.weight.grad.abs().max() > 0


def test_it_trains_at_batch_one_with_a_bias():
    layer = IDConv(6, 6, 3, padding=1, groups=6, bias=True).train()
    layer(torch.randn(1, 6, 5, 5)).sum().backward()
    assert layer.bias.grad.isfinite().all()


def test_each_sample_has_a_depthwise_kernel_of_its_own():
    geometry = place(6, 6, 3, groups=6)
    assert metrics["kernel-memory"].measure(IDConv.at(geometry), (6, 7, 6)) == 4 * 6 * 9
