"""The counter of dispatched operations says of every backbone what the trace says, part by part."""

from __future__ import annotations

import pytest
import torch
from backbones import NETWORKS
from hypothesis import given
from hypothesis import strategies as st
from random_settings import architectures
from test_layer_sums import everywhere
from thoroughness import examples, slow_but

from dcdnas.core.architecture import Architecture
from dcdnas.cost import price
from dcdnas.cost._dispatch_counter import by_dispatch
from dcdnas.cost._trace_counter import by_trace
from dcdnas.networks import build_network
from dcdnas.operators import counting, operators


def check(architecture: Architecture) -> None:
    network, x = build_network(architecture).eval(), torch.zeros(1, *architecture.input)
    with torch.no_grad(), counting():
        dispatched, traced = by_dispatch(network, x), by_trace(network, x)
    assert dispatched == traced
    assert traced[""] == price(architecture)["flops"]


@pytest.mark.parametrize("operator", slow_but(["dcd"], operators))
@pytest.mark.parametrize("network", slow_but(["mobilenetv3", "resnet"], NETWORKS))
def test_they_agree_with_every_operator_in_all_places(network: str, operator: str) -> None:
    check(everywhere(network, operator))


@pytest.mark.parametrize("network", NETWORKS)
@examples(15)
@given(data=st.data())
def test_they_agree_on_random_settings(network: str, data: st.DataObject) -> None:
    check(data.draw(architectures(network)))
