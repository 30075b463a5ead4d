"""Whole networks, of every operator, mixed and searched, trained and deployed, have the properties that operators have."""

from __future__ import annotations

import random
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from portability import (
    EXACT,
    INPUT,
    PROPERTIES,
    SMALL,
    VARIANTS,
    Shape,
    awake,
    check,
    compiled,
    ddp,
    deployed,
    images,
    needs_compiler,
    network_of,
)
from thoroughness import in_turn, slow_but
from torch import nn

import dcdnas
from dcdnas.core.architecture import Architecture
from dcdnas.core.budget import Budget
from dcdnas.networks import build_network
from dcdnas.space.pricing.cost import draws_within

QUICK = ("channels last", "bf16", "copy", "pickle", "empty batch")
EXPORTED = ("pt2", "ONNX")


def mixed(network: str) -> tuple[nn.Module, Shape]:
    """A network whose slots take turns at all variants."""
    return network_of(network, *VARIANTS), INPUT


def pure(network: str, variant: str) -> tuple[nn.Module, Shape]:
    """A network with one operator wherever it fits."""
    return network_of(network, variant), INPUT


def searched(number: int) -> tuple[nn.Module, Shape]:
    """A network as the default search draws it."""
    space = dcdnas.load_space("fashion-quick")
    drawn = draws_within(space, [Budget("flops", 600_000)], random.Random(0))
    architecture: Architecture = next(islice(drawn, number, None)).architecture
    return awake(build_network(architecture)), architecture.input


@pytest.mark.parametrize(("name", "network"), in_turn(QUICK, SMALL))
def test_a_network_of_all_operators_has_the_property(name: str, network: str) -> None:
    check(name, *mixed(network))


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("network", SMALL)
@pytest.mark.parametrize("name", QUICK)
def test_a_network_of_one_operator_has_the_property(name: str, network: str, variant: str) -> None:
    check(name, *pure(network, variant))


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("network", ["mobilenetv2", "resnet"])
@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_network_of_one_operator_computes_the_same(name: str, network: str, variant: str) -> None:
    if name == "ONNX":
        pytest.importorskip("onnxruntime")
    check(name, *pure(network, variant))


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("name", [name for name in PROPERTIES if not name.startswith("compile")])
def test_a_searched_network_has_the_property(name: str, number: int) -> None:
    if name == "ONNX":
        pytest.importorskip("onnxruntime")
    check(name, *searched(number))


@pytest.mark.slow
@pytest.mark.parametrize("network", SMALL)
@pytest.mark.parametrize("name", [*EXPORTED, "compiled training"])
def test_a_network_of_all_operators_is_exported_and_traced(name: str, network: str) -> None:
    if name == "ONNX":
        pytest.importorskip("onnxruntime")
    backend = () if name in EXPORTED else ("aot_eager",)
    assert max(PROPERTIES[name](*mixed(network), *backend)) <= EXACT


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("network", SMALL)
def test_a_compiled_network_of_all_operators_computes_the_same(network: str) -> None:
    check("compile", *mixed(network))


@pytest.mark.slow
@needs_compiler
def test_a_compiled_deployed_network_computes_the_same() -> None:
    network, shape = mixed("mobilenetv2")
    assert max(compiled(deployed(network), shape)) <= EXACT


@pytest.mark.parametrize("network", slow_but(["mobilenetv2", "shufflenetv2"], SMALL))
def test_a_deployed_network_is_copied_and_changes_layout(network: str) -> None:
    whole, shape = mixed(network)
    shipped = deployed(whole)
    for name in ("channels last", "copy", "pickle"):
        check(name, shipped, shape)
    assert shipped(images(shape, 0)).shape == (0, 5)


@pytest.mark.slow
def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    cases = {network: partial(mixed, network) for network in SMALL} | {"searched": partial(searched, 0)}
    cases |= {variant: partial(pure, "mobilenetv2", variant) for variant in VARIANTS}
    found = ddp(cases, tmp_path)
    assert [f"{case}: {errors}" for case, errors in found.items() if isinstance(errors, str) or max(errors) > EXACT] == []
