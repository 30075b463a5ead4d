"""The table of docs/presets.md is what the benchmark prints, and its parameters are the released ones."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from scripts import script

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", name="script")
def script_fixture() -> ModuleType:
    return script("presets")


def test_the_page_has_the_table_that_the_script_prints(script: ModuleType) -> None:
    assert script.table() in (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")


def test_every_counted_network_has_its_released_parameters(script: ModuleType) -> None:
    counted = [(name, ours, theirs) for name, ours, theirs, *_ in script.rows() if theirs is not None]
    assert len(counted) == len(script.RELEASED)
    assert [name for name, ours, theirs in counted if ours != theirs] == []
