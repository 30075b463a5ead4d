"""WeightNet: its kernel is a grouped fully connected layer of the attention, shared reduction or not, and its start."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import UsageError
from dcdnas.operators.weightnet import Reduce, WeightNet


def trained(operator: WeightNet) -> WeightNet:
    """With an attention that depends on the input."""
    torch.manual_seed(0)
    torch.nn.init.normal_(operator.attend.weight)
    return operator.double().eval()


@pytest.mark.parametrize(
    ("arguments", "groups", "params"), [((64, 64, 1), 1, 6_272), ((64, 64, 3), 1, 39_040), ((96, 96, 3), 96, 2_496)]
)
def test_a_guided_layers_parameters_are_the_published_ones(arguments, groups, params):
    operator = WeightNet(*arguments, groups=groups, guide_channels=16)
    assert sum(p.numel() for p in operator.parameters()) == params


def test_a_layers_own_reduction_adds_the_published_shared_ones_parameters():
    assert sum(p.numel() for p in WeightNet(64, 64, 1).parameters()) == 6_272 + 64 * 16 + 16


@pytest.mark.parametrize(("multiplier", "parts"), [(2, 2), (4, 2), (3, 1), (4, 4)])
@pytest.mark.parametrize("form", WeightNet.FORMS)
def test_the_kernel_is_a_grouped_fully_connected_layer_of_the_attention(multiplier, parts, form):
    operator = trained(WeightNet(8, 6, 3, padding=1, multiplier=multiplier, parts=parts))
    operator.form = form
    x = torch.randn(1, 8, 7, 7, dtype=torch.float64)
    alpha = torch.sigmoid(operator.attend(operator.reduce(x))).view(1, -1, 1, 1)
    terms = multiplier // parts
    stored = operator.weight.view(terms, 6 * 8 * 9).T.reshape(-1, terms, 1, 1)
    kernel = F.conv2d(alpha, stored, groups=parts * 6).view(6, 8, 3, 3)
    torch.testing.assert_close(operator(x), F.conv2d(x, kernel, padding=1), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("geometry", "wanted", "resolved"),
    [
        (ConvGeometry(64, 32, 1), (2, 2), (2, 2)),
        (ConvGeometry(96, 96, 3, groups=96), (2, 2), (1, 1)),
        (ConvGeometry(96, 96, 3, groups=96), (4, 2), (2, 1)),
        (ConvGeometry(3, 32, 3), (2, 2), (1, 1)),
        (ConvGeometry(12, 32, 3), (8, 8), (6, 6)),
        (ConvGeometry(64, 32, 1), (5, 2), (4, 2)),
        (ConvGeometry(64, 32, 1), (1, 4), (1, 1)),
    ],
)
def test_the_settings_become_the_nearest_that_divide(geometry, wanted, resolved):
    settings = WeightNet.resolve(geometry, multiplier=wanted[0], parts=wanted[1])
    assert (settings["multiplier"], settings["parts"]) == resolved


def test_large_maps_build_kernels_and_small_ones_scale_activations():
    large, small = (ConvGeometry(64, 64, 1, height=s, width=s) for s in (14, 4))
    settings = WeightNet.resolve(large)
    assert WeightNet.counted_form(large, settings) == "kernel"
    assert WeightNet.counted_form(small, settings) == "activation"


def test_the_start_is_one_convolution_for_every_input():
    operator = WeightNet(6, 10, 3, padding=1, multiplier=4)
    x = torch.randn(4, 6, 7, 7)
    expected = F.conv2d(x, operator.weight.sum(0).view(10, 6, 3, 3) / 2, padding=1)
    torch.testing.assert_close(operator(x), expected, rtol=1e-4, atol=1e-5)


def test_the_layers_of_a_block_share_one_reduction_and_all_train_it():
    settings = WeightNet.resolve(ConvGeometry(8, 24, 1))
    shared = WeightNet.guide(8, settings)
    assert isinstance(shared, Reduce)
    expand, project = (WeightNet(c, d, 1, guide_channels=shared.out_channels) for c, d in ((8, 24), (24, 8)))
    for layer in (expand, project):
        torch.nn.init.normal_(layer.attend.weight)
    x = torch.randn(2, 8, 5, 5)
    guide = shared(x)
    project(expand(x, guide), guide).square().sum().backward()
    assert shared.fc.weight.grad.abs().max() > 0
    assert not any(name.startswith("reduce") for name, _ in expand.named_parameters())


def test_a_guided_layer_without_its_guide_says_what_it_waits_for():
    with pytest.raises(UsageError, match=r"WeightNet was made with guide_channels=16 and needs"):
        WeightNet(4, 6, 3, guide_channels=16)(torch.randn(1, 4, 5, 5))
