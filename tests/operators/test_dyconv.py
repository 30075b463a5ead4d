"""DY-Conv: equal to the published layer's numbers, its attention, its temperature and its starts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from reproduced import check_reproduced

from dcdnas.core.geometry import ConvGeometry
from dcdnas.operators import operators
from dcdnas.operators.dyconv import DyConv

VECTORS = Path(__file__).parent / "vectors"


def published(name: str, bias: bool, temperature: float, **arguments: int) -> tuple[DyConv, dict[str, torch.Tensor]]:
    """The operator with a vector's weights in float64, and the vector."""
    vector = {k: torch.from_numpy(v) for k, v in np.load(VECTORS / f"{name}.npz").items() if v.dtype == np.float64}
    kernels = vector["w:weight"]
    operator = DyConv(kernels.shape[2], kernels.shape[1], 3, padding=1, bias=bias, temperature=temperature, **arguments).double()
    state = {
        "weight": kernels.flatten(2),
        "squeeze.weight": vector["w:attention.fc1.weight"].flatten(1),
        "excite.weight": vector["w:attention.fc2.weight"].flatten(1),
        "excite.bias": vector["w:attention.fc2.bias"],
        "temperature": operator.temperature,
    }
    operator.load_state_dict(state | ({"bias": vector["w:bias"]} if bias else {}))
    return operator, vector


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("form", DyConv.FORMS)
@pytest.mark.parametrize(
    ("name", "bias", "temperature", "stride"), [("dyconv-3x3-K4-T34", False, 34.0, 1), ("dyconv-3x3-K4-bias-T1", True, 1.0, 2)]
)
def test_the_published_layers_outputs_and_gradients_are_reproduced(name, bias, temperature, stride, form, portable):
    operator, vector = published(name, bias, temperature, stride=stride)
    operator.form, operator.portable = form, portable
    check_reproduced(operator, vector)


@pytest.mark.parametrize(
    ("geometry", "bias", "params"),
    [
        (ConvGeometry(64, 64, 3), True, 148_872),
        (ConvGeometry(64, 64, 3), False, 148_616),
        (ConvGeometry(64, 64, 1), False, 17_544),
    ],
)
def test_the_parameters_are_those_of_the_published_layer(geometry, bias, params):
    operator = DyConv(geometry.in_channels, geometry.out_channels, geometry.kernel_size, bias=bias)
    assert sum(p.numel() for p in operator.parameters()) == params


def test_the_multiply_adds_are_those_of_the_published_layer():
    geometry = ConvGeometry(64, 64, 3, height=56, width=56)
    assert DyConv.multiply_adds(geometry, DyConv.resolve(geometry)) == 115_754_116


def test_an_image_of_three_channels_has_as_many_hidden_units_as_kernels():
    assert DyConv(3, 8, 3, num_kernels=5).squeeze.out_features == 5


def test_the_attention_is_positive_and_sums_to_one():
    operator = DyConv(8, 8, 1, init="published", temperature=1.0)
    pi = operator.attention(torch.randn(5, 8, 4, 4) * 10)
    assert (pi > 0).all()
    torch.testing.assert_close(pi.sum(1), torch.ones(5))


def test_annealing_takes_the_temperature_from_its_start_to_one_linearly():
    operator = DyConv(4, 4, 1, temperature=31.0)
    reached = []
    for progress in (0.0, 0.5, 1.0, 2.0):
        operator.anneal(progress)
        reached.append(operator.temperature.item())
    assert reached == [31.0, 16.0, 1.0, 1.0]


def test_the_temperature_is_saved():
    operator = DyConv(4, 4, 1)
    operator.anneal(0.5)
    other = DyConv(4, 4, 1)
    other.load_state_dict(operator.state_dict())
    assert other.temperature.item() == 15.5


def test_a_high_temperature_makes_the_attention_more_even():
    operator = DyConv(8, 8, 1, init="published")
    x = torch.randn(5, 8, 4, 4)
    warm = operator.attention(x).max()
    operator.anneal(1.0)
    assert operator.attention(x).max() > warm


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_the_static_start_is_one_convolution_for_every_input(progress):
    operator = DyConv(6, 10, 3, padding=1)
    operator.anneal(progress)
    x = torch.randn(4, 6, 7, 7)
    expected = torch.nn.functional.conv2d(x, operator.kernels().mean(0), padding=1)
    torch.testing.assert_close(operator(x), expected, rtol=1e-4, atol=1e-5)


def test_the_static_start_leaves_the_kernels_different_so_that_the_attention_learns():
    torch.manual_seed(0)  # of the two hidden units, one in many draws has none that is on
    operator = DyConv(6, 10, 3, padding=1)
    operator(torch.randn(4, 6, 7, 7)).square().sum().backward()
    assert operator.excite.weight.grad.abs().max() > 0


def dynet(guide_channels: int = 0, **place: int) -> DyConv:
    """A layer of DyNet in float64: sigmoids for each output channel, from the pooled input or the block's."""
    settings = {"mixing": "channel", "act": "sigmoid", "reduction": "none", "num_kernels": 6}
    layer = DyConv(4, 5, 3, **place, **settings, guide_channels=guide_channels, temperature=1.0, init="published")
    return layer.double().eval()


@pytest.mark.parametrize("guide_channels", [0, 7])
def test_dynet_is_its_equation(guide_channels):
    torch.manual_seed(0)
    layer, x = dynet(guide_channels, stride=2, padding=1, bias=True), torch.randn(2, 4, 6, 5, dtype=torch.float64)
    torch.nn.init.normal_(layer.bias)
    block = torch.randn(2, 7, 3, 3, dtype=torch.float64)
    given = (DyConv.guide(7, layer._settings())(block),) if guide_channels else ()
    pooled = (block if guide_channels else x).mean((2, 3))
    expected = []
    for image, context in zip(x, pooled, strict=True):
        eta = 1 / (1 + (-(layer.excite.weight @ context + layer.excite.bias)).exp())
        kernel, bias = torch.zeros(5, 4, 3, 3, dtype=x.dtype), torch.zeros(5, dtype=x.dtype)
        for j in range(6):
            for d in range(5):
                kernel[d] += eta[j * 5 + d] * layer.kernels()[j, d]
                bias[d] += eta[j * 5 + d] * layer.bias[j, d]
        expected.append(torch.nn.functional.conv2d(image[None], kernel, bias, 2, 1))
    for form in DyConv.FORMS:
        layer.form = form
        torch.testing.assert_close(layer(x, *given), torch.cat(expected), rtol=0, atol=1e-12)


@pytest.mark.parametrize("act", ["softmax", "sigmoid"])
def test_equal_weights_of_a_kernels_channels_are_one_weight(act):
    whole = DyConv(4, 6, 3, act=act, init="published").double().eval()
    each = DyConv(4, 6, 3, act=act, mixing="channel").double().eval()
    state = {k: v.repeat_interleave(6, 0) if "excite" in k else v for k, v in whole.state_dict().items()}
    each.load_state_dict(state)
    x = torch.randn(3, 4, 5, 5, dtype=torch.float64)
    torch.testing.assert_close(each(x), whole(x), rtol=0, atol=1e-12)


def test_the_parameters_of_a_guided_dynet_layer_are_those_of_the_paper():
    assert sum(p.numel() for p in dynet(24).parameters()) == 6 * 4 * 5 * 9 + (24 + 1) * 5 * 6


@pytest.mark.parametrize(("reduction", "said"), [(4, 64 * 17), ("none", 0)])
def test_a_guided_layer_leaves_out_what_its_block_says(reduction, said):
    geometry = ConvGeometry(64, 32, 1, height=7, width=7)
    settings = DyConv.resolve(geometry, reduction=reduction)
    width = DyConv.guide(64, settings).out_channels
    assert width == (17 if said else 64)
    own = DyConv.multiply_adds(geometry, settings, "aggregate")
    assert own - DyConv.guided_multiply_adds(geometry, settings, "aggregate", width) == said


@pytest.mark.parametrize("mixing", ["kernel", "channel"])
def test_the_static_start_of_sigmoids_is_one_convolution(mixing):
    layer, x = DyConv(6, 10, 3, padding=1, act="sigmoid", mixing=mixing), torch.randn(2, 6, 7, 7)
    expected = torch.nn.functional.conv2d(x, layer.kernels().sum(0) / 2, padding=1)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_one_output_pixel_is_cheaper_to_mix_than_to_aggregate():
    tiny, small = (ConvGeometry(32, 32, 3, height=s, width=s) for s in (1, 4))
    settings = DyConv.resolve(tiny)
    assert DyConv.counted_form(tiny, settings) == "mix"
    assert DyConv.counted_form(small, settings) == "aggregate"


def test_the_printed_operator_shows_its_temperature():
    assert "temperature=30" in repr(DyConv(4, 4, 1))


def test_the_catalogue_has_it():
    assert operators["dyconv"] is DyConv
