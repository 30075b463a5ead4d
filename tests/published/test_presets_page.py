"""The table of docs/presets.md is what the benchmark prints, and its parameters are the released ones."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from scripts import script

from dcdnas.published import build, sources
from dcdnas.published._layer import called

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", name="script")
def script_fixture() -> ModuleType:
    return script("presets")


@pytest.mark.slow
def test_the_page_has_the_table_that_the_script_prints(script: ModuleType) -> None:
    assert script.table() in (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_counted_network_has_its_released_parameters(script: ModuleType) -> None:
    counted = [(name, ours, theirs) for name, ours, theirs, *_ in script.rows() if theirs is not None]
    assert len(counted) == len(script.RELEASED)
    assert [name for name, ours, theirs in counted if ours != theirs] == []


def page() -> str:
    return (ROOT / "docs" / "presets.md").read_text(encoding="utf-8")


def test_every_published_layer_is_on_the_page_with_its_defaults() -> None:
    listed = re.findall(r"^\| `(.*\))` \|", page(), re.MULTILINE)
    layers = {name: layer for source in sources.values() for name, layer in source.layers.items()}
    assert sorted(listed) == sorted(called(layer.make, name, {}) for name, layer in layers.items())


def test_the_example_of_the_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = np.load(ROOT / "tests" / "operators" / "vectors" / "dcd-pointwise-project-24to8.npz")
    layer_state = {name[2:]: torch.from_numpy(vector[name]) for name in vector if name.startswith("w:")}
    monkeypatch.setattr("dcdnas.published.load", lambda name, state, **settings: build(name, **settings))  # no checkpoint here
    names: dict[str, Any] = {"state": {}, "layer_state": layer_state}
    (code,) = re.findall(r"```python\n(.*?)```", page(), re.DOTALL)
    exec(code, names)
    y = names["layer"].eval()(torch.from_numpy(vector["x"]))
    torch.testing.assert_close(y, torch.from_numpy(vector["y_eval"]), rtol=0, atol=1e-9)
