"""MixConv: depthwise convolutions of several sizes side by side, their channels, its places, its forms."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from contract import image, place, randomise
from torch import Tensor

from dcdnas.core.geometry import ConvGeometry
from dcdnas.cost import metrics
from dcdnas.errors import GeometryError
from dcdnas.operators.mixconv import MixConv, parts_of


def by_definition(layer: MixConv, x: Tensor) -> Tensor:
    """Output pixels one by one: each channel's kernel is centred where the slot's own kernel is."""
    g, (pad, _) = layer.geometry, layer.padding
    each, far = g.out_channels // g.in_channels, 40
    height, width = ((size + 2 * pad - g.dilation * (g.kernel_size - 1) - 1) // g.stride + 1 for size in x.shape[-2:])
    around, y = F.pad(x, (far,) * 4), torch.zeros(len(x), g.out_channels, height, width, dtype=x.dtype)
    rows = [row for kernel in layer.kernels for row in kernel[:, 0]]
    for d, kernel in enumerate(rows):
        for u in range(len(kernel)):
            for v in range(len(kernel)):
                wider = (len(kernel) - g.kernel_size) // 2
                top, left = (far - pad + g.dilation * (t - wider) for t in (u, v))
                seen = around[:, d // each, top : top + g.stride * height : g.stride, left : left + g.stride * width : g.stride]
                y[:, d] += kernel[u, v] * seen
    return y


@pytest.mark.parametrize("form", ["split", "joined"])
@pytest.mark.parametrize(
    "arguments",
    [
        (7, 7, 3, 1, 1, 1, 7), (8, 8, 3, 2, 1, 1, 8), (6, 12, 3, 2, 1, 1, 6), (6, 6, 3, 1, 2, 2, 6), (6, 6, 3, 1, 0, 1, 6),
        (6, 6, 2, 1, 1, 1, 6), (6, 6, 1, 2, 0, 1, 6),
    ],
)  # fmt: skip
def test_each_channel_is_filtered_with_the_kernel_of_its_part(arguments, form):
    torch.manual_seed(0)
    layer = randomise(MixConv(*arguments).double().eval())
    layer.form = form
    x = torch.randn(2, arguments[0], 9, 8, dtype=torch.float64)
    torch.testing.assert_close(layer(x), by_definition(layer, x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("channels", "sizes", "partition", "parts"),
    [
        (32, 4, "equal", [(8, 3), (8, 5), (8, 7), (8, 9)]),
        (32, 4, "exponential", [(16, 3), (8, 5), (4, 7), (4, 9)]),  # both are the paper's example
        (34, 3, "equal", [(12, 3), (11, 5), (11, 7)]),
        (34, 3, "exponential", [(17, 3), (9, 5), (8, 7)]),
        (9, 2, "equal", [(5, 3), (4, 5)]),
        (9, 2, "exponential", [(5, 3), (4, 5)]),
        (5, 5, "exponential", [(1, 3), (1, 5), (1, 7), (1, 9), (1, 11)]),
        (6, 4, "exponential", [(3, 3), (1, 5), (1, 7), (1, 9)]),
    ],
)
def test_the_parts_are_those_of_the_paper(channels, sizes, partition, parts):
    geometry = ConvGeometry(channels, channels, 3, groups=channels)
    assert parts_of(geometry, {"num_sizes": sizes, "partition": partition}) == parts


@pytest.mark.parametrize("partition", ["equal", "exponential"])
def test_every_size_has_a_channel_and_none_more_than_the_one_before(partition):
    for channels, sizes in itertools.product(range(2, 40), range(2, 6)):
        geometry = ConvGeometry(channels, channels, 5, groups=channels)
        settings = MixConv.resolve(geometry, num_sizes=sizes, partition=partition)
        widths, kernels = zip(*parts_of(geometry, settings), strict=True)
        assert sum(widths) == channels
        assert sorted(widths, reverse=True) == list(widths)
        assert widths[-1] > 0
        assert kernels == tuple(range(5, 5 + 2 * min(sizes, channels), 2))


def test_partitions_that_are_the_same_build_the_same_layer():
    geometry = ConvGeometry(24, 24, 3, groups=24)
    two, three = ([MixConv.built(geometry, {"num_sizes": n, "partition": p}) for p in ("equal", "exponential")] for n in (2, 3))
    assert two[0] == two[1] == {"channels": "12+12"}
    assert three == [{"channels": "8+8+8"}, {"channels": "12+6+6"}]


def test_it_costs_and_stores_what_its_kernels_do():
    geometry = ConvGeometry(96, 96, 3, 2, groups=96, height=14, width=14)
    settings = MixConv.resolve(geometry)
    weights = 32 * (9 + 25 + 49)
    assert sum(p.numel() for p in MixConv.at(geometry).parameters()) == weights
    assert MixConv.multiply_adds(geometry, settings) == 7 * 7 * weights
    assert MixConv.multiply_adds(geometry, settings, "joined") == 7 * 7 * 96 * 49
    assert metrics["kernel-memory"].measure(MixConv.at(geometry), (96, 14, 14)) == 0


@pytest.mark.parametrize(
    ("geometry", "said"),
    [
        (ConvGeometry(8, 16, 3), "cannot turn 8 channels into 16"),
        (ConvGeometry(8, 8, 1), "its kernel cannot be 1x1"),
        (ConvGeometry(1, 1, 3), "needs 2 or more of them. Use static or sk in this place"),
    ],
)
def test_what_does_not_fit_is_refused(geometry, said):
    with pytest.raises(GeometryError, match=f"mixconv .*{said}"):
        MixConv.resolve(geometry)


def test_in_a_dense_place_it_filters_each_channel_by_itself():
    dense, depthwise = (ConvGeometry(8, 8, 3, groups=groups, height=7, width=7) for groups in (1, 8))
    settings = MixConv.resolve(dense)
    assert MixConv.multiply_adds(dense, settings) == MixConv.multiply_adds(depthwise, settings)
    layer, x = MixConv.at(dense, "", 0, **settings), torch.randn(2, 8, 7, 7)
    changed = x.clone()
    changed[:, 3] = 0
    moved = (layer(x) - layer(changed)).abs().amax((0, 2, 3)) > 0
    assert moved.tolist() == [channel == 3 for channel in range(8)]


def test_small_maps_are_convolved_at_once_and_large_ones_and_training_by_part():
    chosen = {}
    for channels, size, sizes in ((96, 7, 3), (96, 56, 3), (96, 14, 5), (384, 14, 2)):
        geometry = ConvGeometry(channels, channels, 3, groups=channels, height=size, width=size)
        settings = MixConv.resolve(geometry, num_sizes=sizes)
        assert MixConv.executed_form(geometry, settings, training=True) == "split"
        assert MixConv.counted_form(geometry, settings) == "split"
        chosen[size, sizes] = MixConv.executed_form(geometry, settings)
    assert chosen == {(7, 3): "joined", (56, 3): "split", (14, 5): "split", (14, 2): "joined"}


def test_from_a_given_kernel_the_larger_ones_see_nothing_more_and_learn_to():
    given = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
    layer, x = MixConv.from_conv(given), torch.randn(2, 8, 9, 8)
    y = layer(x)
    torch.testing.assert_close(y, given(x), rtol=1e-5, atol=1e-6)
    assert layer.kernels[2][:, :, 2:5, 2:5].count_nonzero() == layer.kernels[2].count_nonzero() == 2 * 9
    y.square().sum().backward()
    assert layer.kernels[2].grad.count_nonzero() == 2 * 49


def test_channels_last_training_has_the_same_gradients():
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        torch.manual_seed(0)
        layer, x = MixConv(8, 8, 3, padding=1, groups=8), image(place(8, 8, 3, height=12, width=10), 3, torch.float32)
        (layer.to(memory_format=layout)(x.to(memory_format=layout)) * torch.linspace(-1, 1, 10)).sum().backward()
        found.append([kernel.grad for kernel in layer.kernels])
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)


def test_a_layer_continues_one_whose_channels_have_the_same_sizes():
    layer = MixConv(12, 12, 3, groups=12)
    assert layer.continues(MixConv(12, 12, 3, stride=2, groups=12))
    assert not layer.continues(MixConv(8, 8, 3, groups=8))
    assert not layer.continues(MixConv(12, 12, 3, groups=12, num_sizes=2))
    assert not layer.continues(MixConv(12, 12, 5, groups=12))
