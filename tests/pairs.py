"""Every backbone with every operator, for tests that run over both folders."""

from __future__ import annotations

import pytest

from dcdnas.networks import networks
from dcdnas.operators import operators


def _quick(network: str, operator: str) -> bool:
    """Each operator in one backbone, and one operator in each."""
    return network == "mobilenetv2" or operator == "dcd"


each_network_with_each_operator = pytest.mark.parametrize(
    ("network", "operator"),
    [pytest.param(n, o, marks=[pytest.mark.slow] * (not _quick(n, o))) for n in networks for o in operators],
)
"""Those that say nothing new of a backbone or an operator are slow."""
