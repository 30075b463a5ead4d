"""The table of docs/presets.md is what the benchmark prints, and its parameters are the released ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("presets_benchmark", ROOT / "benchmarks" / "presets.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_table_that_the_script_prints(script: ModuleType) -> None:
    assert script.table() in (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")


def test_every_counted_network_has_its_released_parameters(script: ModuleType) -> None:
    counted = [(name, ours, theirs) for name, ours, theirs, *_ in script.rows() if theirs is not None]
    assert len(counted) == len(script.RELEASED)
    assert [name for name, ours, theirs in counted if ours != theirs] == []
