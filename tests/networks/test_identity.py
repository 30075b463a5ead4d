"""Two architectures have one identity exactly when they build the same network."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from backbones import NETWORKS, small
from building import built, same

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.budget import parse_budgets
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.cost import notations
from dcdnas.networks import for_proxy, identity, slots_of
from dcdnas.operators import operators
from dcdnas.space.library import load_space, shipped
from dcdnas.space.pricing.cost import draw

FAST = {"fashion-quick"}


def with_layers(architecture: Architecture, operator: str, **settings: Setting) -> Architecture:
    """The architecture with an operator at every 3x3 convolution that it can fill, resolved as a space resolves it."""
    layers = {}
    for slot in slots_of(architecture):
        if slot.kind == "conv" and slot.geometry.kernel_size == 3:
            layers[slot.name] = LayerChoice(operator, operators[operator].resolve(slot.geometry, **settings))
    return replace(architecture, layers=layers)


NET = small("resnet", expansion=1)

TWINS = {
    "widths that round to the same channels": (small("mobilenetv2", width=0.3), small("mobilenetv2", width=0.5)),
    "gates that squeeze to the same width": (small("mobilenetv2", se=0.24), small("mobilenetv2", se=0.25)),
    "ODConv's least width": (with_layers(NET, "odconv", reduction=4), with_layers(NET, "odconv", reduction=16)),
    "what DY-Conv floors": (with_layers(NET, "dyconv", reduction=9), with_layers(NET, "dyconv", reduction=12)),
    "DCD's least width": (with_layers(NET, "dcd", reduction=4), with_layers(NET, "dcd", reduction=16)),
    "WeightNet's least width": (with_layers(NET, "weightnet", least_hidden=16), with_layers(NET, "weightnet", reduction=2)),
    "SK's least width": (with_layers(NET, "sk", reduction=2), with_layers(NET, "sk", reduction=16)),
    "a static layer, named or not": (small("shufflenetv2"), with_layers(small("shufflenetv2"), "static")),
    "channels that make up for a width": (
        small("resnet", width=0.5, channels=(16, 32), stem_channels=16),
        small("resnet", width=1.0, channels=(8, 16), stem_channels=8),
    ),
}


@pytest.mark.parametrize("name", TWINS)
def test_twins_have_one_identity_and_build_one_network(name: str) -> None:
    a, b = TWINS[name]
    assert a.digest != b.digest
    assert identity(a) == identity(b)
    assert same(built(a), built(b))


STRANGERS = {
    "classes": (small("resnet"), replace(small("resnet"), classes=6)),
    "input": (small("resnet"), replace(small("resnet"), input=(3, 14, 14))),
    "dropout": (small("resnet"), small("resnet", dropout=0.2)),
    "activation": (small("mobilenetv2", activation="relu"), small("mobilenetv2", activation="silu")),
    "gates of ODConv": (with_layers(NET, "odconv"), with_layers(NET, "odconv", gates="sigmoid")),
    "regions of DRConv": (with_layers(NET, "drconv", num_regions=2), with_layers(NET, "drconv", num_regions=4)),
    "stems of one shape": (small("resnet", stem="medium"), small("resnet", stem="small")),
}


@pytest.mark.parametrize("name", STRANGERS)
def test_networks_that_differ_have_two_identities(name: str) -> None:
    a, b = STRANGERS[name]
    assert identity(a) != identity(b)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_form_that_is_counted_is_no_part_of_the_network(network: str) -> None:
    architecture = with_layers(small(network), "odconv")
    layers = {n: replace(c, form=_other(architecture, n)) for n, c in architecture.layers.items()}
    assert identity(replace(architecture, layers=layers)) == identity(architecture)


def _other(architecture: Architecture, name: str) -> str:
    geometry: ConvGeometry = next(s.geometry for s in slots_of(architecture) if s.name == name)
    return operators["odconv"].forms(geometry, architecture.layers[name].settings)[0]


MANY = 200
"""Pairs of a space when all tests run: one of the large spaces takes a second."""


def pairs(name: str, count: int) -> int:
    """Draws networks and neighbours that differ in one decision; checks identity against what is built; returns how many."""
    space = load_space(name).filling(parse_budgets(["4MFLOPs"], notations()))
    rng, done = random.Random(0), 0
    side = min(space.input[1], space.proxy.resolution or space.input[1])
    while done < count:
        outcome = draw(space, rng)
        other = dict(outcome)
        changed = rng.choice([d for d in space.decisions if d.name in outcome])
        other[changed.name] = rng.choice(changed.options)
        other = space.decide(lambda n, options, o=other: o.get(n, options[0]))  # type: ignore[misc]
        if space.forbids(other):
            continue
        a, b = (
            for_proxy(space.architecture(o), (space.input[0], side, side), 10, max(space.resolutions)) for o in (outcome, other)
        )
        assert (identity(a) == identity(b)) == same(built(a), built(b)), (outcome, changed.name, other[changed.name])
        done += 1
    return done


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in sorted(shipped())])
def test_neighbours_in_a_shipped_space_have_one_identity_only_where_they_build_one_network(name: str) -> None:
    assert pairs(name, 12) == 12


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(shipped()))
def test_many_pairs_of_a_shipped_space(name: str) -> None:
    assert pairs(name, MANY) == MANY


def test_a_number_is_one_however_a_file_writes_it() -> None:
    """YAML and JSON do not keep 0 and 0.0 apart, and both are one setting."""
    identity.cache_clear()
    whole = identity(small("resnet", dropout=0))
    identity.cache_clear()
    assert identity(small("resnet", dropout=0.0)) == whole
