"""Every backbone with every operator, for tests that run over both folders."""

from __future__ import annotations

from itertools import product

import pytest

from dcdnas.networks import networks
from dcdnas.operators import operators

PAIRS = tuple(product(networks, operators))

ENOUGH = [(network, operator) for network, operator in PAIRS if network == "mobilenetv2" or operator == "dcd"]
"""Each operator in one backbone, and one operator in each."""

FEW = [("mobilenetv2", "odconv"), ("mobilenetv3", "static"), ("resnet", "dcd"), ("shufflenetv2", "ddf")]
"""For what is of neither by itself."""


def each_network_with_each_operator(quick: list[tuple[str, str]]) -> pytest.MarkDecorator:
    """Gives a test every `network` with every `operator`; all but the quick ones are slow."""
    pairs = [pytest.param(*pair, marks=[pytest.mark.slow] * (pair not in quick)) for pair in PAIRS]
    return pytest.mark.parametrize(("network", "operator"), pairs)
