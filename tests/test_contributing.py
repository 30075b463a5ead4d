"""Every example of CONTRIBUTING.md works as written, as a single file in the folder of its kind."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from contributing import METRIC, NETWORK, OPERATOR, ROOT, SOURCE, TASK, added
from energy import energy_known

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.budget import Budget, parse_budget
from dcdnas.core.dimension import dimensions
from dcdnas.core.geometry import ConvGeometry
from dcdnas.core.task import TrainingTask
from dcdnas.cost import measure, notations, price, verified
from dcdnas.cost.flops import count_flops
from dcdnas.data import load, load_test, sources
from dcdnas.networks import build_network, for_proxy, networks, slots_of
from dcdnas.operators import Operator, operators
from dcdnas.tasks import judged, tasks

ONLY_GATE = """
from pathlib import Path
from dcdnas.core.plugins import Plugin

Plugin("gate.py", Path(__file__).with_name("gate.py").read_text(encoding="utf-8")).load()

def pytest_collection_modifyitems(items):
    items[:] = [i for i in items if hasattr(i, "callspec") and i.callspec.params.get("name") == "gate"]
"""
GEOMETRY = ConvGeometry(6, 9, 3, 2, 3, height=7, width=5)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[type[Operator]]:
    """The example operator of CONTRIBUTING.md."""
    with added(operators, "gate", OPERATOR, tmp_path) as found:
        yield found


def test_its_dimension_is_read_from_the_annotation(gate: type[Operator]) -> None:
    assert dimensions(gate)["temperature"].allowed == "a number, 1 to 30"


def test_its_closed_form_is_what_the_counter_counts(gate: type[Operator]) -> None:
    assert count_flops(gate.at(GEOMETRY), (6, 7, 5)) == gate.multiply_adds(GEOMETRY, {})


def test_its_output_depends_on_the_input_sample_by_sample(gate: type[Operator]) -> None:
    layer, x = gate.at(GEOMETRY).eval(), torch.randn(3, 6, 7, 5)
    torch.nn.init.normal_(layer.fc.weight)
    assert torch.allclose(layer(x), torch.cat([layer(one) for one in x.split(1)]), atol=1e-6)
    assert not torch.allclose(layer(2 * x), 2 * layer(x))


def test_a_layer_of_it_can_be_pickled(gate: type[Operator]) -> None:
    layer, x = gate.at(GEOMETRY).eval(), torch.randn(3, 6, 7, 5)
    assert torch.equal(pickle.loads(pickle.dumps(layer))(x), layer(x))


def test_a_network_of_it_is_built_priced_and_trained(gate: type[Operator]) -> None:
    settings = {"channels": (8, 16), "strides": (2, 2), "depth": 1, "expansion": 2, "stem_channels": 8, "head_channels": 16}
    bare = Architecture("mobilenetv2", settings, {}, (3, 16, 16), 4)
    layers = {s.name: LayerChoice("gate", gate.resolve(s.geometry)) for s in slots_of(bare) if s.kind == "conv"}
    architecture = Architecture("mobilenetv2", settings, layers, (3, 16, 16), 4)
    network = build_network(architecture)
    assert dict(price(architecture).values) == dict(measure(network).values)
    network(torch.randn(2, 3, 16, 16)).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def contract(folder: Path, code: str, *arguments: str) -> tuple[int, str]:
    """Runs the contract tests on the operator that `code` defines; returns the exit status and pytest's report."""
    (folder / "gate.py").write_text(code, encoding="utf-8")
    (folder / "only_gate.py").write_text(ONLY_GATE, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "only_gate", "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    tests = "tests/operators/test_contract.py"
    done = subprocess.run([*command, tests], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_it_keeps_the_contract_of_the_operators_that_ship(tmp_path: Path) -> None:
    status, said = contract(tmp_path, OPERATOR, "-vv")
    assert status == 0, said
    assert len(set(re.findall(r"::(test_\w+)\[.* PASSED", said))) > 20
    assert len(re.findall(r"::test_every_multiply_add_is_counted\[gate-.* PASSED", said)) > 10


@pytest.mark.slow
def test_a_gate_that_hides_its_product_breaks_the_contract(tmp_path: Path) -> None:
    hidden = OPERATOR.replace(
        "product(super().forward(x), gate[:, :, None, None])", "super().forward(x) * gate[:, :, None, None]"
    )
    assert hidden != OPERATOR
    status, said = contract(tmp_path, hidden, "-k", "independent_counter", "-x")
    assert status == 1, said
    assert "test_an_independent_counter_agrees_on_every_form[gate" in said


def test_the_metric_of_the_page_prices_a_network_and_reads_a_budget() -> None:
    found: dict[str, Any] = {"__name__": "energy"}
    exec(METRIC, found)  # as importing its file would
    network = Architecture("mobilenetv2", {"width": 0.25}, {}, (1, 28, 28), 10)
    with energy_known(found[found["__all__"][0]]):
        assert parse_budget("5mJ", notations()) == Budget("energy", 0.005)
        assert verified(network, ("energy",))["energy"] == pytest.approx(found["EACH"] * price(network)["flops"])


def test_the_network_of_the_page_is_priced_as_it_is_measured_and_learns(tmp_path: Path) -> None:
    with added(networks, "stack", NETWORK, tmp_path):
        wide = Architecture("stack", {"channels": (8, 16, 16), "kernel_size": (3, 5, 1)}, {}, (3, 32, 32), 4)
        dcd = {s.name: LayerChoice("dcd", operators["dcd"].resolve(s.geometry)) for s in slots_of(wide) if s.kind == "conv"}
        architecture = replace(wide, layers=dcd)
        network = build_network(architecture)
        assert dict(price(architecture).values) == dict(measure(network).values)
        network(torch.randn(2, 3, 32, 32)).square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        assert for_proxy(architecture, (3, 8, 8), 4).settings["strides"] == (1, 1, 2)


def test_the_source_of_the_page_reads_both_parts(tmp_path: Path) -> None:
    pixels = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(6, 3, 96, 96).clone()
    pixels[:, 2, 1, 0] = 99  # row 1, column 0 of the last channel
    for part in ("train", "test"):
        (tmp_path / f"{part}_X.bin").write_bytes(pixels.transpose(2, 3).contiguous().numpy().tobytes())
        (tmp_path / f"{part}_y.bin").write_bytes(bytes([1, 2, 1, 2, 1, 2]))
    (tmp_path / "class_names.txt").write_text("airplane\nbird\n")
    with added(sources, "stl10", SOURCE, tmp_path):
        for images in (train := load(f"stl10:{tmp_path}"), load_test(train)):
            assert (images.shape, images.classes) == ((3, 96, 96), ("airplane", "bird"))
            read, labels = images.batch(torch.tensor([0, 1]))
            assert read[:, 2, 1, 0].tolist() == [99, 99]
            assert (read[:, 0, 0, 0] % 2 == labels).all(), "the even pictures are of class 1 in the file, 0 here"


def test_the_task_of_the_page_judges_a_network_by_its_own_objective(tmp_path: Path) -> None:
    small = {"channels": (8,), "strides": (2,), "depth": (1,), "stem_channels": 8, "head_channels": 16, "width": 1.0}
    with added(tasks, "contrast", TASK, tmp_path) as contrast:
        task, told = contrast(), []
        torch.manual_seed(0)
        network = build_network(Architecture("mobilenetv2", small, {}, task.input, task.outputs))
        score = judged(task, network, TrainingTask(epochs=8), lambda result: told.append(result.epoch) or result.epoch < 4)
        assert (told, score.epochs) == ([1, 2, 3, 4], 4)
        assert task.objectives[0].of(score) > 0.7
