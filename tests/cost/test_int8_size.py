"""The size in eight bits is priced slot by slot as the whole network is counted, from its shapes alone."""

from __future__ import annotations

import pytest
from test_price import any_architecture
from thoroughness import slow_but
from torch import nn

from dcdnas.core.architecture import Architecture
from dcdnas.cost import measure, metrics, price
from dcdnas.networks import build_network, networks
from dcdnas.operators import operators


@pytest.mark.parametrize("network", slow_but(["shufflenetv2"], networks))
def test_the_price_is_what_the_whole_network_is_counted_as(network: str) -> None:
    architecture = any_architecture(network, 0)
    assert price(architecture, ("int8-size",)) == measure(build_network(architecture), ("int8-size",))


def test_a_norm_is_in_its_convolution_and_channels_have_scales() -> None:
    classifier = nn.Linear(16, 5)
    assert metrics["int8-size"].measure(classifier, (16,)) == 16 * 5 + 5 * 5 + 12 * 5
    static = Architecture("mobilenetv2", {"width": 0.25}, {}, (3, 32, 32), 10)
    values = price(static, ("int8-size", "weights")).values
    assert 0.25 < values["int8-size"] / values["weights"] < 0.33


def test_a_bank_that_is_mixed_has_more_scales_than_one_of_convolutions() -> None:
    sizes = {}
    for form in ("aggregate", "mix"):
        layer = operators["dyconv"](8, 16, 3, num_kernels=4)
        layer.form = form
        sizes[form] = metrics["int8-size"].measure(layer, (8, 6, 6))
    assert sizes["aggregate"] - sizes["mix"] == 5 * (16 * 8 * 9 - 4 * 16)
