"""The plain data that every layer shares."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dcdnas.core.geometry import ConvGeometry, Cost
from dcdnas.core.trial import ENDED
from dcdnas.errors import GeometryError

geometries = st.builds(
    lambda group, c, d, kernel, stride, dilation, h, w: ConvGeometry(group * c, group * d, kernel, stride, group, dilation, h, w),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 12),
    st.integers(1, 12),
)


@given(geometries)
def test_the_output_map_is_that_of_a_conv2d(g: ConvGeometry) -> None:
    conv = torch.nn.Conv2d(g.in_channels, g.out_channels, g.kernel_size, g.stride, g.padding, g.dilation, g.groups)
    y = conv(torch.zeros(1, g.in_channels, g.height, g.width))
    assert tuple(y.shape[1:]) == (g.out_channels, g.out_height, g.out_width)
    assert g.out_pixels == g.out_height * g.out_width


@given(geometries)
def test_a_geometry_survives_pickling_and_hashes_the_same(g: ConvGeometry) -> None:
    again = pickle.loads(pickle.dumps(g))
    assert again == g
    assert hash(again) == hash(g)


@pytest.mark.parametrize(
    "name", ["in_channels", "out_channels", "kernel_size", "stride", "groups", "dilation", "height", "width"]
)
def test_nothing_in_a_geometry_may_be_less_than_one(name: str) -> None:
    values = {"in_channels": 4, "out_channels": 4, name: 0}
    with pytest.raises(GeometryError, match=f"{name} must be at least 1, not 0"):
        ConvGeometry(**values)


@pytest.mark.parametrize(("c", "d", "name"), [(6, 8, "in_channels 6"), (8, 6, "out_channels 6")])
def test_groups_must_divide_the_channels(c: int, d: int, name: str) -> None:
    with pytest.raises(GeometryError, match=f"groups 4 does not divide {name}"):
        ConvGeometry(c, d, groups=4)


@pytest.mark.parametrize(
    ("c", "d", "groups", "depthwise"), [(8, 8, 8, True), (8, 16, 8, True), (8, 8, 4, False), (1, 4, 1, False)]
)
def test_depthwise_means_one_input_channel_a_group(c: int, d: int, groups: int, depthwise: bool) -> None:
    assert ConvGeometry(c, d, groups=groups).depthwise is depthwise


def test_a_geometry_reads_like_a_sentence() -> None:
    assert str(ConvGeometry(8, 16, 3, 2, 4, height=7, width=9)) == "8->16 3x3 stride 2, groups 4 on 7x9"


def test_a_geometry_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        ConvGeometry(3, 4).stride = 2  # type: ignore[misc]


def test_costs_add_metric_by_metric() -> None:
    total = Cost({"flops": 3, "params": 1}) + Cost({"flops": 4, "latency": 0.5})
    assert dict(total.values) == {"flops": 7, "params": 1, "latency": 0.5}


def test_a_cost_is_looked_up_by_metric() -> None:
    assert Cost({"flops": 3})["flops"] == 3
    with pytest.raises(KeyError):
        Cost()["flops"]


def test_a_cost_does_not_follow_the_dictionary_it_was_made_from() -> None:
    values = {"flops": 3.0}
    cost = Cost(values)
    values["flops"] = 4
    assert cost["flops"] == 3
    with pytest.raises(TypeError):
        cost.values["flops"] = 5  # type: ignore[index]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_a_cost_survives_copying_and_pickling(again: object) -> None:
    cost = Cost({"flops": 3, "params": 1})
    assert again(cost) == cost  # type: ignore[operator]


def test_stopped_early_counts_as_ended_and_failed_does_not() -> None:
    assert set(ENDED) == {"finished", "stopped"}
