"""The operator that CONTRIBUTING.md adds works as it stands there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import dcdnas.operators
from dcdnas.architecture import Architecture, LayerChoice
from dcdnas.choice import dimensions
from dcdnas.cost import measure, price
from dcdnas.cost._kept import outside
from dcdnas.cost.flops import count_flops
from dcdnas.networks import build_network, slots_of
from dcdnas.operators import Operator, operators
from dcdnas.records import ConvGeometry

PAGE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
GEOMETRY = ConvGeometry(6, 9, 3, 2, 3, height=7, width=5)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Operator]]:
    """The operator of the page, added by writing its file and nothing else."""
    path = tmp_path / "gate.py"
    path.write_text(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], encoding="utf-8")
    files = operators._files()
    monkeypatch.setattr(operators, "_files", lambda: {**files, "gate": path})
    monkeypatch.setattr(operators, "_loaded", dict(operators._loaded))
    monkeypatch.setattr(dcdnas.operators, "__path__", [*dcdnas.operators.__path__, str(tmp_path)])
    yield operators["gate"]
    del sys.modules["dcdnas.operators.gate"]
    outside.cache_clear()


def test_its_dimension_is_read_from_the_annotation(gate: type[Operator]) -> None:
    assert dimensions(gate)["temperature"].allowed == "a number, 1 to 30"


def test_its_closed_form_is_what_the_counter_counts(gate: type[Operator]) -> None:
    assert count_flops(gate.at(GEOMETRY), (6, 7, 5)) == gate.multiply_adds(GEOMETRY, {})


def test_its_output_depends_on_the_input_sample_by_sample(gate: type[Operator]) -> None:
    layer, x = gate.at(GEOMETRY).eval(), torch.randn(3, 6, 7, 5)
    torch.nn.init.normal_(layer.fc.weight)
    assert torch.allclose(layer(x), torch.cat([layer(one) for one in x.split(1)]), atol=1e-6)
    assert not torch.allclose(layer(2 * x), 2 * layer(x))


def test_a_network_of_it_is_built_priced_and_trained(gate: type[Operator]) -> None:
    settings = {"channels": (8, 16), "strides": (2, 2), "depth": 1, "expansion": 2, "stem_channels": 8, "head_channels": 16}
    bare = Architecture("mobilenetv2", settings, {}, (3, 16, 16), 4)
    layers = {s.name: LayerChoice("gate", gate.resolve(s.geometry)) for s in slots_of(bare) if s.kind == "conv"}
    architecture = Architecture("mobilenetv2", settings, layers, (3, 16, 16), 4)
    network = build_network(architecture)
    assert dict(price(architecture).values) == dict(measure(network).values)
    network(torch.randn(2, 3, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
