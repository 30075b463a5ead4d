"""DDF: equal to the published layer's numbers, lean in memory, safe in half precision; DDFUp, its upsampling sibling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from reproduced import check_reproduced

from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import GeometryError
from dcdnas.operators._decoupled import decoupled_filter, decoupled_filter_lean, filter_norm
from dcdnas.operators.ddf import DDF

VECTORS = Path(__file__).parent / "vectors"


def published(name: str, **arguments: object) -> tuple[DDF, dict[str, torch.Tensor]]:
    """The operator with a vector's weights in float64, and the vector."""
    vector = {k: torch.from_numpy(v) for k, v in np.load(VECTORS / f"{name}.npz").items() if v.dtype == np.float64}
    channels = vector["x"].shape[1]
    operator = DDF(channels, channels, 3, padding=1, **arguments).double()
    operator.load_state_dict(
        {
            "spatial.weight": vector["w:spatial_branch.0.weight"],
            "spatial.bias": vector["w:spatial_branch.0.bias"],
            "squeeze.weight": vector["w:channel_branch.1.weight"].flatten(1),
            "squeeze.bias": vector["w:channel_branch.1.bias"],
            "excite.weight": vector["w:channel_branch.3.weight"].flatten(1),
            "excite.bias": vector["w:channel_branch.3.bias"],
            "scale": vector["w:channel_branch.4.std"],
        }
    )
    return operator, vector


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize(
    ("name", "arguments"), [("ddf-mul-16", {}), ("ddf-add-stride2-10", {"kernel_combine": "add", "stride": 2})]
)
def test_the_published_layers_outputs_and_gradients_are_reproduced(name, arguments, portable):
    operator, vector = published(name, **arguments)
    operator.portable = portable
    check_reproduced(operator, vector)


@pytest.mark.parametrize(("channels", "params"), [(64, 9_429), (128, 35_490), (512, 536_175)])
def test_the_parameters_are_those_of_the_published_layer(channels, params):
    assert sum(p.numel() for p in DDF(channels, channels, 3).parameters()) == params


def test_four_heads_have_four_spatial_filters_a_pixel():
    operator = DDF(64, 64, 3, head=4)
    assert sum(p.numel() for p in operator.parameters()) == 11_184
    assert operator.spatial_filter(torch.randn(2, 64, 5, 5)).shape == (2, 4, 9, 3, 3)


@pytest.mark.parametrize(
    ("channels", "size", "convolutions"), [(64, 56, 1_814_016), (128, 28, 935_168), (512, 7, 748_032)], ids=["64", "128", "512"]
)
def test_the_multiply_adds_are_the_published_ones_and_those_of_the_filters(channels, size, convolutions):
    geometry = ConvGeometry(channels, channels, 3, height=size, width=size)
    normalised = 9 * size**2 + 2 * 9 * channels
    applied = 2 * 9 * channels * size**2
    assert DDF.multiply_adds(geometry, DDF.resolve(geometry)) == convolutions + normalised + applied


@pytest.mark.parametrize("combine", ["mul", "add"])
def test_every_pixel_is_filtered_as_the_definition_says(combine):
    torch.manual_seed(0)
    operator = DDF(4, 4, 3, 2, 1, kernel_combine=combine, head=2, init="published").double()
    x = torch.randn(2, 4, 5, 7, dtype=torch.float64)
    channel, spatial = operator.channel_filter(x), operator.spatial_filter(x)
    y, padded = operator(x), F.pad(x, (1, 1, 1, 1))
    for n, c, i, j in np.ndindex(*y.shape):
        by_channel, by_pixel = channel[n, c].view(3, 3), spatial[n, c // 2, :, i, j].view(3, 3)
        joined = by_channel * by_pixel if combine == "mul" else by_channel + by_pixel
        torch.testing.assert_close(y[n, c, i, j], (joined * padded[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]).sum())


@pytest.mark.parametrize("combine", ["mul", "add"])
@pytest.mark.parametrize("place", [(3, 1, 1, 1), (3, 2, 1, 1), (5, 2, 2, 1), (3, 1, 0, 2)])
def test_the_lean_filter_has_the_gradients_of_the_plain_one(combine, place):
    torch.manual_seed(0)
    k, stride, padding, dilation = place
    height, width = ((s + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for s in (9, 7))
    inputs = [torch.randn(s, dtype=torch.float64) for s in ((2, 6, 9, 7), (2, 6, k * k), (2, 3, k * k, height, width))]
    gradients = []
    for function in (decoupled_filter, decoupled_filter_lean):
        leaves = [t.clone().requires_grad_() for t in inputs]
        function(*leaves, combine, *place).sin().sum().backward()
        gradients.append([leaf.grad for leaf in leaves])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("combine", ["mul", "add"])
def test_the_lean_filter_keeps_no_copy_of_the_map_a_tap(combine):
    x, channel, spatial = torch.randn(2, 8, 16, 16), torch.randn(2, 8, 9), torch.randn(2, 1, 9, 16, 16)
    sizes = []
    for function in (decoupled_filter, decoupled_filter_lean):
        kept: dict[int, int] = {}

        def note(t: torch.Tensor, kept: dict[int, int] = kept) -> torch.Tensor:
            kept[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
            y = function(*(t.clone().requires_grad_() for t in (x, channel, spatial)), combine, 3, 1, 1, 1)
        sizes.append(sum(kept.values()))
        assert y.requires_grad
    assert sizes[1] == (x.numel() + channel.numel() + spatial.numel()) * 4
    assert sizes[0] > 3 * sizes[1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_constant_filter_becomes_zero_and_has_a_finite_gradient(dtype):
    constant = torch.full((2, 3, 9), 0.3, dtype=dtype, requires_grad=True)
    normalised = filter_norm(constant, 2, 9, 1.0)
    normalised.sum().backward()
    assert normalised.dtype == dtype
    assert normalised.abs().max() < 0.2
    assert constant.grad.isfinite().all()


@pytest.mark.parametrize("combine", ["mul", "add"])
def test_half_precision_stays_close_to_single(combine):
    operator = DDF(16, 16, 3, padding=1, kernel_combine=combine, init="published")
    x = torch.randn(2, 16, 9, 9)
    expected = operator.eval()(x)
    y = operator.half()(x.half())
    assert (y.float() - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("combine", ["mul", "add"])
def test_the_static_start_is_one_depthwise_convolution_for_every_input(combine):
    operator = DDF(6, 6, 3, padding=1, kernel_combine=combine)
    x = torch.randn(4, 6, 7, 7)
    channel, spatial = operator.channel_filter(x)[0], operator.spatial_filter(x)[0, 0, :, 0, 0]
    kernel = channel * spatial if combine == "mul" else channel + spatial
    expected = F.conv2d(x, kernel.view(6, 1, 3, 3), padding=1, groups=6)
    torch.testing.assert_close(operator(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", range(1, 8))
def test_few_channels_have_at_least_one_hidden_unit(channels):
    assert DDF(channels, channels, 3).squeeze.out_features == max(1, channels // 5)


@pytest.mark.parametrize(("channels", "wanted", "head"), [(12, 5, 4), (12, 12, 12), (7, 6, 1), (2, 8, 2)])
def test_the_head_becomes_the_nearest_divisor_of_the_channels_below(channels, wanted, head):
    assert DDF.resolve(ConvGeometry(channels, channels, 3), head=wanted)["head"] == head


@pytest.mark.parametrize(
    ("geometry", "rule"),
    [
        (ConvGeometry(8, 16, 3), "8 channels into 16"),
        (ConvGeometry(8, 8, 1), "cannot be 1x1"),
        (ConvGeometry(8, 8, 4), "cannot be 4x4"),
    ],
)
def test_a_refused_place_names_the_rule(geometry, rule):
    with pytest.raises(GeometryError, match=rule):
        DDF(geometry.in_channels, geometry.out_channels, geometry.kernel_size)
