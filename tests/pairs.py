"""Pairs of a backbone and an operator, for tests that run over both folders."""

from __future__ import annotations

from itertools import product

import pytest

from dcdnas.networks import networks
from dcdnas.operators import operators

PAIRS = tuple(product(networks, operators))

ENOUGH = [(network, operator) for network, operator in PAIRS if network == "mobilenetv2" or operator == "dcd"]
"""Each operator in one backbone, and one operator in each backbone."""

FEW = [("mobilenetv2", "odconv"), ("mobilenetv3", "static"), ("resnet", "dcd"), ("shufflenetv2", "ddf")]
"""A few pairs, for properties that depend neither on the backbone nor on the operator."""


def each_network_with_each_operator(quick: list[tuple[str, str]]) -> pytest.MarkDecorator:
    """Parametrises a test with every pair of `network` and `operator`; pairs that are not in `quick` are marked slow."""
    pairs = [pytest.param(*pair, marks=[pytest.mark.slow] * (pair not in quick)) for pair in PAIRS]
    return pytest.mark.parametrize(("network", "operator"), pairs)
