"""The examples of docs/using.md run as written, and give the results that the page shows."""

from __future__ import annotations

import re
from typing import Any

import pytest
from contributing import ROOT

import dcdnas

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
