"""What the constructors refuse, each with the rule, and what a printed layer says of itself."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch

from dcdnas.core.dimension import dimensions
from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import GeometryError, UsageError
from dcdnas.operators import operators

NAMES = sorted(operators)
STARTING = [name for name in NAMES if "init" in inspect.signature(operators[name]).parameters]

each_operator = pytest.mark.parametrize("name", NAMES)


@each_operator
@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        ({"kernel_size": (3, 5)}, r"kernel_size must be one whole number for both axes, not \(3, 5\)"),
        ({"stride": 1.5}, "stride must be one whole number"),
        ({"padding": "same"}, "padding must be one whole number for both axes, not 'same'"),
        ({"padding": -1}, "padding must be at least 0, not -1"),
        ({"dilation": 0}, "dilation must be at least 1, not 0"),
        ({"groups": 3}, "groups 3 does not divide in_channels 8"),
    ],
)
def test_a_place_that_the_operators_do_not_take_is_refused_with_the_rule(name, arguments, rule):
    with pytest.raises(GeometryError, match=rule):
        operators[name](8, 8, **{"kernel_size": 3, **arguments})


@pytest.mark.parametrize("name", STARTING)
def test_an_unknown_start_is_refused(name):
    with pytest.raises(UsageError, match=r"init cannot be 'ones'\. Allowed: static, published"):
        operators[name](8, 8, 3, init="ones")


@pytest.mark.parametrize("name", ["dyconv", "odconv"])
@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), float("nan")])
def test_a_temperature_by_which_logits_cannot_be_divided_is_refused(name, temperature):
    with pytest.raises(UsageError, match=r"temperature cannot be .* Allowed: a number above 0"):
        operators[name](8, 8, 3, temperature=temperature)


@each_operator
def test_a_printed_layer_says_its_place(name):
    said = repr(operators[name](8, 8, 3, stride=2, padding=4, dilation=2, bias=True))
    assert "8, 8, kernel_size=3, stride=2, padding=4, dilation=2, groups=1, bias=True" in said


@pytest.mark.parametrize("name", ["dyconv", "odconv"])
def test_a_printed_layer_says_how_far_its_annealing_is(name):
    operator = operators[name](8, 8, 3, temperature=21.0)
    operator.anneal(0.5)
    assert "temperature=11" in repr(operator)


@pytest.mark.parametrize("name", ["condconv", "dcd", "static"])
def test_a_classifier_refuses_a_form_and_a_setting_that_it_does_not_have(name):
    with pytest.raises(GeometryError, match="has no form 'fastest'"):
        operators[name].classifier(ConvGeometry(8, 4), form="fastest")
    with pytest.raises(GeometryError, match="has no setting 'colour'"):
        operators[name].classifier(ConvGeometry(8, 4), colour=1)


@pytest.mark.parametrize(("name", "setting"), [("condconv", "num_experts"), ("drconv", "num_regions")])
def test_a_guide_of_another_width_than_the_layer_needs_is_refused_when_it_is_made(name, setting):
    with pytest.raises(GeometryError, match=f"{setting}=8 takes a guide of 8 channels, not 5"):
        operators[name](8, 8, 3, guide_channels=5)


@pytest.mark.parametrize(("name", "width"), [("condconv", 8), ("drconv", 8), ("weightnet", 16)])
@pytest.mark.parametrize("guided", [True, False])
def test_a_guide_of_another_size_than_the_input_is_refused(name, width, guided):
    operator = operators[name](8, 8, 3, padding=1, guide_channels=width if guided else 0)
    map_size = (5, 5) if name == "drconv" else ()
    x = torch.randn(2, 8, 5, 5)
    assert operator(x, torch.rand(2, width, *map_size)).shape == x.shape
    for samples, channels in ((3, width), (2, width - 1)):
        with pytest.raises(UsageError, match=rf"the guide is \({samples}, {channels}.*Allowed: \(2, {width}, "):
            operator(x, torch.rand(samples, channels, *map_size))


@each_operator
def test_the_whole_numbers_of_numpy_are_taken_and_stored_as_those_of_python(name):
    settings = {n: np.int64(d.default) for n, d in dimensions(operators[name]).items() if type(d.default) is int}
    sizes = {"stride": np.int32(1), "padding": np.int64(1), "dilation": np.int64(1), "groups": np.int64(1)}
    operator = operators[name](np.int64(16), np.int64(16), np.int64(3), **sizes, **settings)
    assert repr(operator) == repr(operators[name](16, 16, 3, padding=1))
    numbers = (operator.in_channels, operator.out_channels, operator.groups, *operator.padding, operator.geometry.in_channels)
    assert {type(number) for number in numbers} == {int}
    assert operator(torch.randn(1, 16, 8, 8)).shape == (1, 16, 8, 8)


@each_operator
@pytest.mark.parametrize("channels", [None, "16", 16.0, True, np.True_, torch.ones(2)])
def test_channels_that_are_no_whole_number_are_refused(name, channels):
    for place, said in (((channels, 16), "in_channels"), ((16, channels), "out_channels")):
        with pytest.raises(GeometryError, match=f"{said} must be a whole number, 1 or more, not "):
            operators[name](*place, 3)


@each_operator
def test_a_truth_value_is_no_size(name):
    with pytest.raises(GeometryError, match="kernel_size must be one whole number for both axes, not True"):
        operators[name](16, 16, True)
