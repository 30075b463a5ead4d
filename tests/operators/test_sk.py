"""SK: two dilations, a softmax over them a channel, and its start."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import GeometryError
from dcdnas.operators.sk import SK

PUBLISHED = {"params": 4_112, "macs": 7_226_880}
"""timm's SelectiveKernel(64, split_input=False, groups=32) on 1x64x56x56, counted as convolutions and linear layers."""


def fresh(**settings: object) -> SK:
    torch.manual_seed(0)
    return SK(6, 10, 3, padding=1, init="published", **settings).double()


def test_the_parameters_are_the_published_ones_without_the_branches_norms():
    operator = SK(64, 64, 3, padding=1, groups=32, least_hidden=8)
    assert sum(p.numel() for p in operator.parameters()) == PUBLISHED["params"] - 2 * 2 * 64


def test_the_multiply_adds_are_the_published_ones_with_one_head_for_two_and_the_selection():
    geometry = ConvGeometry(64, 64, 3, groups=32, height=56, width=56)
    counted = SK.multiply_adds(geometry, SK.resolve(geometry, least_hidden=8))
    assert counted == PUBLISHED["macs"] - 8 * 64 + 64 * 56**2


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [0, 1, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_output_is_the_softmax_average_of_two_dilations(stride, padding, dilation):
    torch.manual_seed(0)
    operator = SK(4, 6, 3, stride, padding, dilation, init="published").double().eval()
    x = torch.randn(3, 4, 9, 8, dtype=torch.float64)
    near = F.conv2d(x, operator.near, None, stride, padding, dilation)
    far = F.conv2d(x, operator.far, None, stride, padding + dilation, 2 * dilation)
    z = torch.relu(operator.norm(operator.squeeze((near + far).mean((2, 3)))))
    weights = torch.softmax(torch.stack([z @ head.T for head in operator.heads]), 0)[..., None, None]
    torch.testing.assert_close(operator(x), weights[0] * near + weights[1] * far, rtol=0, atol=1e-12)


def test_each_channel_of_each_sample_chooses_for_itself():
    chosen = fresh().eval().selection(torch.randn(3, 10, 4, 4, dtype=torch.float64) * 3)
    assert chosen.shape == (3, 10)
    assert len(set(chosen.flatten().tolist())) == 30


def test_the_static_start_is_one_convolution_for_every_input():
    operator = SK(6, 10, 3, padding=1)
    x = torch.randn(4, 6, 7, 7)
    expected = (F.conv2d(x, operator.near, padding=1) + F.conv2d(x, operator.far, padding=2, dilation=2)) / 2
    torch.testing.assert_close(operator(x), expected, rtol=1e-4, atol=1e-5)


def test_the_static_start_lets_the_selection_learn():
    operator = SK(6, 10, 3, padding=1)
    operator(torch.randn(4, 6, 7, 7)).square().sum().backward()
    assert operator.heads.grad.abs().max() > 0


@pytest.mark.parametrize(("channels", "hidden"), [(16, 32), (512, 32), (1024, 64)])
def test_the_hidden_units_are_the_papers(channels, hidden):
    assert SK(4, channels, 3).squeeze.out_features == hidden


@pytest.mark.parametrize("kernel_size", [1, 2, 4])
def test_a_kernel_without_centre_and_neighbours_is_refused(kernel_size):
    with pytest.raises(GeometryError, match="odd kernels of 3 or more"):
        SK(4, 4, kernel_size)
