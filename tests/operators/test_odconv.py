"""ODConv: its kernel is the paper's formula, its attentions skip as published, its temperature anneals and is saved."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from contract import image, make, place

from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import UsageError
from dcdnas.operators.odconv import ODConv
from dcdnas.operators.static import Static


def kernel_by_definition(operator, gates, sample):
    """W(x) of one sample as the paper writes it, element by element: (D, C/g, k, k)."""
    g, k = operator.geometry, operator.geometry.kernel_size
    kernels = operator.weight.view(operator.num_kernels, g.out_channels, g.in_channels // g.groups, k, k)
    total = torch.zeros_like(kernels[0])
    for i in range(operator.num_kernels):
        kernel = kernels[i] * (1.0 if gates.kernel is None else gates.kernel[sample, i])
        for d in range(g.out_channels):
            for c in range(g.in_channels // g.groups):
                channel = d * g.groups // g.out_channels * (g.in_channels // g.groups) + c
                spatial = 1.0 if gates.spatial is None else gates.spatial[sample].view(k, k)
                filters = 1.0 if gates.filter is None else gates.filter[sample, d]
                total[d, c] += kernel[d, c] * spatial * filters * gates.channel[sample, channel]
    return total


@pytest.mark.parametrize("kernels", [1, 3])
@pytest.mark.parametrize(
    "geometry", [place(4, 6, 1), place(4, 6, 3, 2), place(4, 6, 3, groups=2), place(4, 4, 3, groups=4), place(4, 8, 3, groups=4)]
)
def test_the_output_is_the_convolution_with_the_papers_kernel(geometry, kernels):
    operator, g, x = make(ODConv, geometry, num_kernels=kernels), geometry, image(geometry)
    gates = operator.attention(x)
    for sample in range(2):
        kernel = kernel_by_definition(operator, gates, sample)
        expected = F.conv2d(x[sample : sample + 1], kernel, None, g.stride, g.padding, g.dilation, g.groups)
        torch.testing.assert_close(operator(x)[sample : sample + 1], expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("geometry", "kernels", "attentions"),
    [
        (place(8, 12, 3), 4, {"channel", "filter", "spatial", "kernel"}),
        (place(8, 12, 1), 4, {"channel", "filter", "kernel"}),
        (place(8, 12, 3), 1, {"channel", "filter", "spatial"}),
        (place(8, 12, 1), 1, {"channel", "filter"}),
        (place(8, 8, 3, groups=8), 4, {"channel", "spatial", "kernel"}),
        (place(8, 16, 3, groups=8), 1, {"channel", "filter", "spatial"}),
    ],
)
def test_attentions_are_skipped_as_published_and_shown(geometry, kernels, attentions):
    operator = ODConv.at(geometry, num_kernels=kernels)
    assert set(operator.attention.heads) == attentions
    assert all(name in repr(operator) for name in attentions)


@pytest.mark.parametrize(
    ("geometry", "kernels", "count"),
    [
        (ConvGeometry(64, 64, 3), 1, 40_249),
        (ConvGeometry(64, 64, 1), 1, 7328),
        (ConvGeometry(96, 96, 3, groups=96), 1, 4217),
        (ConvGeometry(64, 128, 3, 2), 1, 78_201),
        (ConvGeometry(512, 512, 3), 1, 2_409_833),
        (ConvGeometry(64, 64, 3), 4, 150_909),
        (ConvGeometry(64, 64, 1), 4, 19_684),
        (ConvGeometry(96, 96, 3, groups=96), 4, 6877),
        (ConvGeometry(64, 128, 3, 2), 4, 299_453),
    ],
)
def test_the_parameters_are_those_of_the_published_layer(geometry, kernels, count):
    assert sum(p.numel() for p in ODConv.at(geometry, num_kernels=kernels).parameters()) == count


@pytest.mark.parametrize(
    ("channels", "reduction", "width"), [(64, 16, 16), (512, 16, 32), (100, 4, 25), (64, 1 / 0.625, 40), (1, 1, 16)]
)
def test_the_attentions_width_is_a_share_of_the_channels_and_at_least_16(channels, reduction, width):
    assert ODConv(channels, 8, 1, reduction=reduction).attention.squeeze.out_features == width


def test_a_whole_reduction_is_stored_as_a_whole_number():
    assert repr(ODConv.resolve(place(8, 8, 1), reduction=16.0)["reduction"]) == "16"
    assert ODConv.resolve(place(8, 8, 1), reduction=2.5)["reduction"] == 2.5


def test_annealing_takes_the_temperature_linearly_to_one():
    operator = ODConv(4, 4, 3, temperature=31)
    seen = []
    for progress in (0.0, 0.5, 1.0, 2.0):
        operator.anneal(progress)
        seen.append(operator.attention.temperature.item())
    assert seen == [31, 16, 1, 1]


def test_the_temperature_is_saved_with_the_weights():
    operator = make(ODConv, place(4, 6, 3), num_kernels=2)
    operator.anneal(0.8)
    fresh = make(ODConv, place(4, 6, 3), seed=5, num_kernels=2)
    fresh.load_state_dict(operator.state_dict())
    assert torch.equal(fresh(image(place(4, 6, 3))), operator(image(place(4, 6, 3))))
    assert not torch.equal(make(ODConv, place(4, 6, 3), num_kernels=2)(image(place(4, 6, 3))), fresh(image(place(4, 6, 3))))


def test_a_high_temperature_makes_all_attentions_even():
    operator = make(ODConv, place(8, 12, 3), num_kernels=4)
    spreads = []
    for progress in (0.0, 1.0):
        operator.anneal(progress)
        spreads.append([gate.std().item() for gate in operator.attention(image(place(8, 12, 3)))])
    assert all(hot < cold / 5 for hot, cold in zip(*spreads, strict=True))


@pytest.mark.parametrize("kernels", [1, 4])
@pytest.mark.parametrize("gates", ["unit", "sigmoid"])
@pytest.mark.parametrize("geometry", [place(8, 12, 3), place(8, 24, 1), place(8, 8, 3, groups=8)])
@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_the_default_start_is_one_static_convolution_of_unit_scale(geometry, gates, kernels, progress):
    torch.manual_seed(0)
    operator = ODConv.at(geometry, num_kernels=kernels, gates=gates).eval()
    operator.anneal(progress)
    x = image(geometry, 2, torch.float32)
    static = Static.at(geometry)
    gain = 1.0 if gates == "unit" else 0.5 ** (len(operator.attention.heads) - (kernels > 1))
    mixture = operator.weight.mean(0) * gain * (kernels**0.5 if gates == "unit" else 1.0)
    with torch.no_grad():
        static.weight.copy_(mixture.view_as(static.weight))
    torch.testing.assert_close(operator(x), static(x), rtol=0, atol=1e-5)


def test_the_published_start_with_published_gates_shrinks_the_output_by_eight_root_n():
    torch.manual_seed(0)
    operator = ODConv(64, 64, 3, padding=1, num_kernels=4, gates="sigmoid", init="published").eval()
    x = torch.randn(8, 64, 14, 14)
    ratio = Static(64, 64, 3, padding=1)(x).std() / operator(x).std()
    assert ratio.item() == pytest.approx(8 * 2, rel=0.15)


@pytest.mark.parametrize("norm", ["batch", "layer", "none"])
@pytest.mark.parametrize("map_size", [1, 7])
def test_a_batch_of_one_trains(norm, map_size):
    operator = ODConv(8, 12, 3, padding=1, norm=norm).train()
    y = operator(torch.randn(1, 8, map_size, map_size))
    y.sum().backward()
    assert y.isfinite().all()


def test_a_batch_of_one_leaves_the_running_statistics_alone():
    operator = ODConv(8, 12, 1).train()
    before = {k: v.clone() for k, v in operator.state_dict().items()}
    operator(torch.randn(1, 8, 5, 5))
    assert all(torch.equal(v, before[k]) for k, v in operator.state_dict().items())
    operator(torch.randn(2, 8, 5, 5))
    assert not torch.equal(operator.attention.norm.running_mean, before["attention.norm.running_mean"])


def test_biases_are_mixed_like_the_kernels_and_not_scaled_by_the_filters():
    torch.manual_seed(0)
    operator = ODConv(4, 6, 3, padding=1, bias=True, num_kernels=3, init="published").double().eval()
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    without = operator(x)
    with torch.no_grad():
        operator.bias.normal_()
    mixed = operator.attention(x).kernel @ operator.bias
    torch.testing.assert_close(operator(x) - without, mixed[:, :, None, None].expand_as(without))


@pytest.mark.parametrize(
    "bad", [{"num_kernels": 0}, {"num_kernels": 17}, {"reduction": 0.5}, {"gates": "open"}, {"norm": "group"}]
)
def test_values_that_are_never_legal_are_refused(bad):
    with pytest.raises(UsageError, match=f"{next(iter(bad))} cannot be"):
        ODConv.resolve(place(8, 8, 1), **bad)


@pytest.mark.parametrize(
    ("geometry", "kernels", "form"),
    [
        (ConvGeometry(16, 96, height=112, width=112), 1, "kernel"),
        (ConvGeometry(960, 320, height=7, width=7), 1, "activation"),
        (ConvGeometry(512, 512, 3, height=7, width=7), 1, "columns"),
        (ConvGeometry(64, 64, 3, height=56, width=56), 4, "kernel"),
    ],
)
def test_where_attentions_act_follows_the_size_of_the_map(geometry, kernels, form):
    assert ODConv.at(geometry, num_kernels=kernels).form == form
