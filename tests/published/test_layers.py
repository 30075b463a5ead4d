"""Layers of published codes: their numbers are reproduced, and what does not fit is listed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dcdnas.errors import FileError, GeometryError, UnknownNameError, UsageError
from dcdnas.published import convert_layer
from dcdnas.published._base import published_layer

VECTORS = Path(__file__).parents[1] / "operators" / "vectors"

LAYERS = {
    "condconv-3x3-E8": (
        "route_func+CondConv2d",
        {"in_channels": 8, "out_channels": 12, "kernel_size": 3, "padding": 1, "bias": False, "num_experts": 8},
    ),
    "dcd-1x1-bottleneck-32to16": ("conv_dy", {"inplanes": 32, "planes": 16, "kernel_size": 1, "stride": 1, "padding": 0}),
    "dcd-3x3-stride2-16to24": ("conv_dy", {"inplanes": 16, "planes": 24, "kernel_size": 3, "stride": 2, "padding": 1}),
    "dcd-basic-3x3-8to12": ("conv_basic_dy", {"inplanes": 8, "planes": 12, "stride": 1}),
    "dcd-classifier-20to7": ("DYCls", {"inp": 20, "oup": 7}),
    "dcd-pointwise-expand-8to24": ("DYModule", {"inp": 8, "oup": 24}),
    "dcd-pointwise-project-24to8": ("DYModule", {"inp": 24, "oup": 8, "fc_squeeze": 16}),
    "ddf-add-stride2-10": ("DDFPack", {"in_channels": 10, "stride": 2, "kernel_combine": "add"}),
    "ddf-mul-16": ("DDFPack", {"in_channels": 16}),
    "dyconv-3x3-K4-T34": (
        "Dynamic_conv2d",
        {"in_planes": 8, "out_planes": 12, "kernel_size": 3, "padding": 1, "bias": False},
    ),
    "dyconv-3x3-K4-bias-T1": (
        "Dynamic_conv2d",
        {"in_planes": 6, "out_planes": 10, "kernel_size": 3, "stride": 2, "padding": 1, "temperature": 1},
    ),
    "odconv-1x1-n1-T1": ("ODConv2d", {"in_planes": 8, "out_planes": 20, "kernel_size": 1, "kernel_num": 1}),
    "odconv-1x1-n4-T4": ("ODConv2d", {"in_planes": 20, "out_planes": 8, "kernel_size": 1, "temperature": 4}),
    "odconv-3x3-n1-T30": (
        "ODConv2d",
        {"in_planes": 6, "out_planes": 6, "kernel_size": 3, "padding": 1, "kernel_num": 1, "temperature": 30},
    ),
    "odconv-3x3-n4-stride2-T1": (
        "ODConv2d",
        {"in_planes": 8, "out_planes": 12, "kernel_size": 3, "stride": 2, "padding": 1, "kernel_num": 4, "reduction": 1 / 16},
    ),
    "odconv-depthwise-n4-T1": (
        "ODConv2d",
        {"in_planes": 10, "out_planes": 10, "kernel_size": 3, "stride": 2, "padding": 1, "groups": 10, "kernel_num": 4},
    ),
}

PARAMETERS = [
    ("DYModule", {"inp": 64, "oup": 64}, 6_752),
    ("DYModule", {"inp": 64, "oup": 384, "fc_squeeze": 16}, 46_400),
    ("DYModule", {"inp": 384, "oup": 96, "fc_squeeze": 16}, 87_792),
    ("DYModule", {"inp": 160, "oup": 960, "fc_squeeze": 16}, 257_680),
    ("conv_dy", {"inplanes": 64, "planes": 64, "kernel_size": 1, "stride": 1, "padding": 0}, 5_936),
    ("conv_dy", {"inplanes": 64, "planes": 128, "kernel_size": 3, "stride": 2, "padding": 1}, 76_336),
    ("conv_basic_dy", {"inplanes": 64, "planes": 128, "stride": 2}, 87_360),
    ("DYCls", {"inp": 1280, "oup": 1000}, 1_460_840),
    ("ODConv2d", {"in_planes": 512, "out_planes": 512, "kernel_size": 3, "padding": 1, "kernel_num": 1}, 2_409_833),
    ("ODConv2d", {"in_planes": 64, "out_planes": 64, "kernel_size": 1}, 19_684),
    ("ODConv2d", {"in_planes": 96, "out_planes": 96, "kernel_size": 3, "groups": 96}, 6_877),
    ("Dynamic_conv2d", {"in_planes": 64, "out_planes": 64, "kernel_size": 3}, 148_872),
    (
        "route_func+CondConv2d",
        {"in_channels": 64, "out_channels": 64, "kernel_size": 3, "bias": False, "num_experts": 8},
        295_432,
    ),
    ("DDFPack", {"in_channels": 512}, 536_175),
    ("DDFPack", {"in_channels": 64, "head": 4}, 11_184),
]
"""Counted in the published code, at the commits that docs/presets.md names."""

each_layer = pytest.mark.parametrize("vector", sorted(LAYERS))


def read(vector):
    """The numbers of a vector, and the state among them."""
    numbers = {k: torch.from_numpy(v) for k, v in np.load(VECTORS / f"{vector}.npz").items() if v.dtype == np.float64}
    return numbers, {k[2:]: v for k, v in numbers.items() if k.startswith("w:")}


def converted(vector):
    return convert_layer(*LAYERS[vector], read(vector)[1])


@each_layer
def test_the_published_eval_output_is_reproduced_by_every_form(vector):
    operator, (numbers, _) = converted(vector).eval(), read(vector)
    for form in operator.forms(operator.geometry, operator._settings()):
        for portable in (False, True):
            operator.form, operator.portable = form, portable
            torch.testing.assert_close(operator(numbers["x"]), numbers["y_eval"], rtol=0, atol=1e-9)


@each_layer
def test_the_published_training_output_and_gradient_are_reproduced_by_every_training_form(vector):
    numbers, _ = read(vector)
    first = converted(vector)
    for form in first.training_forms(first.geometry, first._settings()):
        operator = converted(vector).train()
        operator.training_form = form
        x = numbers["x"].clone().requires_grad_()
        y = operator(x)
        torch.testing.assert_close(y, numbers["y_train"], rtol=0, atol=1e-9)
        (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
        torch.testing.assert_close(x.grad, numbers["grad_x"], rtol=0, atol=1e-9)


@each_layer
def test_the_parameters_are_as_many_as_published(vector):
    buffers = ("running_mean", "running_var")
    published = sum(v.numel() for k, v in read(vector)[1].items() if not k.endswith(buffers))
    assert sum(p.numel() for p in converted(vector).parameters()) == published


@pytest.mark.parametrize(("name", "arguments", "count"), PARAMETERS)
def test_a_layer_of_any_size_has_as_many_parameters_as_published(name, arguments, count):
    assert sum(p.numel() for p in published_layer(name).build(name, arguments).parameters()) == count


def test_everything_that_does_not_fit_is_listed():
    name, arguments = LAYERS["dcd-pointwise-expand-8to24"]
    _, state = read("dcd-pointwise-expand-8to24")
    state["colour"] = torch.zeros(3)
    state["conv_p.weight"] = torch.zeros(5, 4, 1, 1)
    del state["fc_phi.weight"]
    with pytest.raises(FileError) as caught:
        convert_layer(name, arguments, state)
    assert str(caught.value).startswith("the state dict does not fit DYModule(inp=8, oup=24, fc_squeeze=8):")
    assert "colour (3,) has no place" in str(caught.value)
    assert "conv_p.weight is (5, 4, 1, 1), which does not fit" in str(caught.value)
    assert "controller.phi.weight (16, 4) is missing" in str(caught.value)


def test_an_unknown_layer_and_unknown_arguments_are_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'DYModule'"):
        convert_layer("DYModul", {}, {})
    with pytest.raises(UsageError, match=r"DYModule: .*'colour'\. Its arguments: inp, oup, fc_squeeze=8\.$"):
        convert_layer("DYModule", {"inp": 3, "oup": 4, "colour": 1}, {})
    with pytest.raises(UsageError, match=r"conv_dy: missing .*'padding'"):
        convert_layer("conv_dy", {"inplanes": 3, "planes": 4, "kernel_size": 1, "stride": 1}, {})


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("DYModule", {"inp": 8, "oup": 8, "fc_squeeze": 0}, r"DYModule\(inp=8, oup=8, fc_squeeze=0\): .*1 or more"),
        (
            "ODConv2d",
            {"in_planes": 8, "out_planes": 8, "kernel_size": 3, "reduction": 0},
            "reduction cannot be 0. Allowed: .* up to 1",
        ),
        ("DDFPack", {"in_channels": 8, "se_ratio": 0}, "se_ratio cannot be 0"),
        ("DDFPack", {"in_channels": 8, "se_ratio": "much"}, "se_ratio cannot be 'much'"),
        ("Dynamic_conv2d", {"in_planes": 8, "out_planes": 8, "kernel_size": 3, "ratio": 2}, "ratio cannot be 2"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_published_name(name, arguments, said):
    with pytest.raises(UsageError, match=said):
        convert_layer(name, arguments, {})


def test_a_geometry_that_the_operator_cannot_take_is_a_geometry_error():
    with pytest.raises(GeometryError, match=r"DDFPack\(in_channels=8, kernel_size=2\): .*odd kernels"):
        convert_layer("DDFPack", {"in_channels": 8, "kernel_size": 2}, {})


@each_layer
def test_a_wrapped_and_prefixed_state_of_a_layer_converts_the_same(vector):
    numbers, state = read(vector)
    wrapped = {"epoch": 1, "state_dict": {f"module.{name}": value for name, value in state.items()}}
    operator = convert_layer(*LAYERS[vector], wrapped).eval()
    assert torch.equal(operator(numbers["x"]), converted(vector).eval()(numbers["x"]))
