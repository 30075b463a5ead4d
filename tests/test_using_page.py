"""The examples of docs/using.md run as written, and give the results that the page shows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from contributing import ROOT
from torch import nn

import dcdnas
from dcdnas.errors import GeometryError
from dcdnas.operators import operators

PAGE = (ROOT / "docs" / "using.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs(example: str) -> None:
    exec(compile(example, "docs/using.md", "exec"), {})


def test_the_counts_of_the_example_are_these() -> None:
    names: dict[str, Any] = {}
    (example,) = (e for e in EXAMPLES if "dcdnas.convert" in e)
    exec(compile(example, "docs/using.md", "exec"), names)
    for network in ("network", "dynamic"):
        assert f"dcdnas.count({network}, (3, 64, 64)).values  # {dict(dcdnas.count(names[network], (3, 64, 64)).values)}" in PAGE


def refusing(**place: Any) -> set[str]:
    """Names of the operators that cannot replace a convolution with 16 input channels."""
    refused = set()
    for name in operators:
        try:
            operators[name].from_conv(nn.Conv2d(16, **place))
        except GeometryError:
            refused.add(name)
    return refused


def test_the_page_names_the_operators_that_replace_only_some_convolutions() -> None:
    words = " ".join(PAGE.split())
    same = {"atconv", "ddf", "idconv", "involution", "lsconv"}
    depthwise = {"out_channels": 16, "groups": 16}
    assert refusing(out_channels=16, kernel_size=3) == {*same, "mixconv", "ghost"}
    assert refusing(**depthwise, kernel_size=3) == {"ghost"}
    assert refusing(out_channels=32, groups=16, kernel_size=3) == {*same, "ghost"}
    assert refusing(**depthwise, kernel_size=2) == refusing(**depthwise, kernel_size=1) == {*same, "sk", "ghost"}
    *first, last = (f"`{name}`" for name in sorted(same))
    assert f"{', '.join(first)} and {last} replace only depthwise convolutions with as many output as input channels" in words
    assert "`mixconv` replaces only depthwise convolutions; `sk` replaces only odd kernels of 3x3 or larger" in words
    assert "`ghost` replaces none" in words
