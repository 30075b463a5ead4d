"""The layer table of every backbone with every operator adds up to what fvcore measures of the whole network."""

from __future__ import annotations

import pytest
from backbones import small
from pairs import FEW, each_network_with_each_operator

from dcdnas.core.architecture import Architecture
from dcdnas.core.units import STATIC_OPERATORS
from dcdnas.cost import Parts, additive_metrics, measure
from dcdnas.cost._layers import layer_table
from dcdnas.errors import GeometryError
from dcdnas.networks import Slot, build_network, networks, slots_of
from dcdnas.operators import operators
from dcdnas.published._preset import guided, with_operator


def takes(operator: str, slot: Slot) -> bool:
    try:
        operators[operator].resolve(slot.geometry)
    except GeometryError:
        return False
    return slot.kind == "conv"


def everywhere(network: str, operator: str) -> Architecture:
    """With squeeze-and-excitation, the operator in all places that take it, and guides in all that take those."""
    bare = small(network, se=0.25, depth=(1, 2))
    made = with_operator(bare, operator, lambda slot: {} if takes(operator, slot) else None)
    blocks = {s.block for s in slots_of(bare) if s.block != s.name}
    return guided(made, blocks) if "guided_multiply_adds" in vars(operators[operator]) else made


@each_network_with_each_operator(FEW[1:3])
def test_the_layers_and_their_parts_add_up_to_what_the_network_measures(network: str, operator: str) -> None:
    architecture, names = everywhere(network, operator), additive_metrics()
    layers = layer_table(architecture)
    whole = measure(build_network(architecture), names)
    assert {name: sum(layer.cost[name] for layer in layers) for name in names} == dict(whole.values)
    assert sum((layer.parts for layer in layers), Parts()).whole == whole["flops"]
    assert [layer.name for layer in layers] == [slot.name for slot in slots_of(architecture)]
    for layer in layers:
        assert layer.parts.whole == layer.cost["flops"]
        assert (layer.parts.being_dynamic > 0) == (
            layer.slot.kind == "gate" or layer.operator not in {*STATIC_OPERATORS, "linear"}
        )


@pytest.mark.parametrize("network", [name for name in networks if networks[name].GUIDED])
def test_guided_layers_are_marked(network: str) -> None:
    architecture = everywhere(network, "condconv")
    marked = {layer.name for layer in layer_table(architecture) if layer.notable.endswith(", guided")}
    assert marked == {name for name, choice in architecture.layers.items() if choice.guide_channels} != set()
