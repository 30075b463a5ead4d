"""What every operator has of Conv2d: its attributes, its arguments, and inputs without a batch axis."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest
import torch
from contract import GEOMETRIES, each_place, image, make
from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import UsageError
from dcdnas.operators import operators
from dcdnas.operators.static import Static

NAMES = sorted(operators)
ARGUMENTS = {"kernel_size": 3, "stride": 2, "padding": 4, "dilation": 2}

each_operator = pytest.mark.parametrize("name", NAMES)


@each_place
@pytest.mark.parametrize("training", [True, False])
def test_one_image_is_a_batch_of_one(name, geometry, training):
    operator = make(operators[name], geometry).train(training)
    x = image(geometry, 1)
    expected = copy.deepcopy(operator)(x)
    assert torch.equal(operator(x[0]), expected[0])


@pytest.mark.parametrize("name", ["condconv", "drconv", "weightnet"])
def test_the_guide_of_one_image_has_no_batch_axis_either(name):
    settings = operators[name].resolve(GEOMETRIES[12])
    guide = operators[name].guide(12, settings).double()
    operator = operators[name](12, 12, 3, 2, 1, guide_channels=guide.out_channels).double()
    x = image(GEOMETRIES[12], 1)
    made = guide(x)
    assert torch.equal(operator(x[0], made[0]), operator(x, made)[0])
    assert torch.equal(operator(x[0], guide=made[0]), operator(x, made)[0])


@pytest.mark.parametrize("name", ["condconv", "dcd"])
def test_a_classifier_takes_one_vector(name):
    classifier = operators[name].classifier(ConvGeometry(16, 5)).eval()
    x = torch.randn(1, 16)
    assert torch.equal(classifier(x[0]), classifier(x)[0])
    with pytest.raises(
        UsageError, match=r"in_channels=16 .* shape \(1, 16, 1, 1\)\. Allowed: \(N, 16\), or \(16,\) for one sample"
    ):
        classifier(x[..., None, None])


def test_one_image_in_training_leaves_the_running_statistics_of_an_attention():
    operator = operators["odconv"](8, 8, 3, padding=1)
    before = copy.deepcopy(dict(operator.named_buffers()))
    operator(torch.randn(8, 6, 6))
    assert all(torch.equal(before[key], buffer) for key, buffer in operator.named_buffers())
    assert any("running_mean" in key for key in before)


@each_operator
@pytest.mark.parametrize("shape", [(2, 6, 7, 7), (6, 7, 7), (7, 7), (1, 1, 8, 7, 7)])
def test_another_input_is_refused_with_both_numbers(name, shape):
    said = r"in_channels=8 and got an input of shape \(.*\)\. Allowed: \(N, 8, H, W\), or \(8, H, W\) for one sample"
    with pytest.raises(UsageError, match=said):
        operators[name](8, 8, 3)(torch.randn(shape))


@each_operator
def test_it_has_the_attributes_of_conv2d(name):
    conv = nn.Conv2d(8, 8, **ARGUMENTS, groups=2, bias=False)
    operator = operators[name](8, 8, **ARGUMENTS, groups=2)
    for attribute in ("in_channels", "out_channels", *ARGUMENTS, "groups", "padding_mode", "bias"):
        assert getattr(operator, attribute) == getattr(conv, attribute)


@each_operator
def test_a_conv2d_is_replaced_by_its_own_attributes(name):
    conv = nn.Conv2d(8, 8, **ARGUMENTS)
    place = {attribute: getattr(conv, attribute) for attribute in ARGUMENTS}
    operator = operators[name](conv.in_channels, conv.out_channels, **place, groups=conv.groups, bias=conv.bias is not None)
    assert repr(operator) == repr(operators[name](8, 8, **ARGUMENTS, bias=True))
    x = torch.randn(2, 8, 9, 9)
    assert operator(x).shape == conv(x).shape


@each_operator
def test_help_shows_the_arguments_of_conv2d_first(name):
    shared = list(inspect.signature(nn.Conv2d).parameters)[:8]
    parameters = inspect.signature(operators[name]).parameters
    assert list(parameters)[:8] == shared
    assert all(p.kind is p.KEYWORD_ONLY for p in list(parameters.values())[8:])


def test_an_operator_from_outside_takes_one_image_too():
    class Scaled(Static):
        def __init__(self, *args: Any, scale: float = 2.0, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.scale = scale

        def forward(self, x: Tensor) -> Tensor:
            return self.scale * super().forward(x) + x.mean((2, 3)).sum()

    operator, x = Scaled(8, 4, 3), torch.randn(1, 8, 6, 6)
    assert torch.equal(operator(x[0]), operator(x)[0])
    assert list(inspect.signature(Scaled).parameters)[7:] == ["bias", "scale"]
