"""Backbones with a decoder: the contract of a network, the price of the whole, its file, its place in a space."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from backbones import NETWORKS, dense, small
from building import built, same
from hypothesis import given
from hypothesis import strategies as st
from random_settings import architectures
from thoroughness import examples, slow_but

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.core.slot import UPSAMPLING
from dcdnas.core.yaml_lines import Document
from dcdnas.cost import breakdown, exact_metrics, verified
from dcdnas.cost._dispatch_counter import by_dispatch
from dcdnas.cost._trace_counter import by_trace
from dcdnas.errors import SpaceError, UnknownNameError, UsageError
from dcdnas.networks import build_network, for_proxy, identity, make, network_of, networks, slots_of
from dcdnas.operators import counting, operators
from dcdnas.space.pricing.cost import largest, priced, smallest
from dcdnas.space.pricing.places import places_of
from dcdnas.space.reading.reader import Compiler
from dcdnas.testing.network import RULES

PINNED = {
    "mobilenetv2": ("5860c29a3519b0f1", "71c539e850b282d4"),
    "mobilenetv3": ("262e0b64c1f9006a", "d931aba9bc2061a9"),
    "nas-bench-macro": ("4daa086b21be9691", "360b561b46741165"),
    "resnet": ("a3b3370f341d55ae", "af8981ceacc3ed2f"),
    "shufflenetv2": ("3d5854c594c0f74b", "7b5afb50b1434c04"),
}
"""Digest and identity of small architectures, from before there were heads: those of runs and files that exist."""


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_without_a_head_is_named_and_written_as_before_there_were_heads(network: str) -> None:
    a = small(network)
    assert (a.digest, identity(a)) == PINNED[network]
    assert "head" not in a.to_dict()


@pytest.mark.parametrize("upsampling", UPSAMPLING)
@pytest.mark.parametrize("network", slow_but(["resnet", "shufflenetv2"], NETWORKS))
@pytest.mark.parametrize("rule", RULES)
def test_it_keeps_the_rules_of_a_network(rule: str, network: str, upsampling: str) -> None:
    RULES[rule](dense(network, upsampling=upsampling))


@pytest.mark.parametrize("network", slow_but(["mobilenetv2"], NETWORKS))
@examples(20)
@given(data=st.data())
def test_the_price_of_the_whole_is_what_is_measured_on_random_settings(network: str, data: st.DataObject) -> None:
    """`verified` builds the network and measures each metric: multiply-adds by fvcore's trace."""
    architecture = data.draw(architectures(network, "decoder"))
    layers, cost = breakdown(architecture).layers, verified(architecture, exact_metrics())
    assert sum(layer.cost["flops"] for layer in layers) == sum(layer.parts.whole for layer in layers) == cost["flops"]
    assert sum(layer.cost["params"] for layer in layers) == cost["params"]
    x = torch.zeros(1, *architecture.input)
    with torch.no_grad(), counting():
        made = build_network(architecture).eval()
        assert by_dispatch(made, x) == by_trace(made, x)
        assert made(x).shape == (1, architecture.classes, *architecture.input[1:])


@pytest.mark.parametrize("kind", UPSAMPLING)
def test_a_place_that_makes_a_map_larger_costs_what_is_counted(kind: str) -> None:
    """Bilinear: 4 for each pixel made. DDF-Up of 8 channels to twice the size: its filters, and two products a tap."""
    slot = next(s for s in slots_of(dense("resnet", decoder_channels=8, upsampling=kind)) if s.name == "decoder.stage1.up")
    assert (slot.input, slot.output) == ((8, 6, 6), (8, 12, 12))
    module = make(slot).eval()
    assert module(torch.zeros(2, *slot.input)).shape == (2, *slot.output)
    filters = 4 * 8 * (36 * 9 + 1 * (1 + 9)) + 4 * 9 * (36 + 2 * 8)
    wanted = {"bilinear": 4 * 8 * 12 * 12, "ddf-up": filters + 2 * 4 * 8 * 9 * 36}[kind]
    with torch.no_grad(), counting():
        assert by_trace(module, torch.zeros(1, *slot.input))[""] == wanted


def test_its_layers_are_shown_by_what_stands_there() -> None:
    layers = breakdown(dense("mobilenetv2", stem_stride=2, upsampling="ddf-up")).layers
    shown = {layer.name: (layer.operator, layer.kernel) for layer in layers if layer.name.startswith("decoder")}
    assert shown == {
        "decoder.stage2.lateral": ("static", "1x1"),
        "decoder.stage1.lateral": ("static", "1x1"),
        "decoder.stage1.up": ("ddf-up", "DDF-Up upsampling"),
        "decoder.stage1.smooth": ("static", "3x3"),
        "decoder.classifier": ("pixel-linear", "1x1 with bias"),
        "decoder.up": ("bilinear", "bilinear upsampling"),
    }
    assert not [layer.name for layer in layers if layer.residual and layer.name.startswith("decoder")]


def test_of_several_stages_with_maps_of_one_size_the_last_is_taken() -> None:
    a = dense("resnet", channels=(8, 16, 24), depth=1, strides=(1, 2, 1))
    assert {s.block for s in slots_of(a) if s.role == "lateral"} == {"decoder.stage1", "decoder.stage3"}


def test_odd_maps_are_made_larger_and_cut() -> None:
    a = replace(dense("resnet"), input=(3, 13, 9))
    assert next(s.output for s in slots_of(a) if s.role == "up") == (16, 14, 10)
    assert build_network(a).eval()(torch.zeros(2, 3, 13, 9)).shape == (2, 5, 13, 9)


def test_it_takes_images_of_another_size_than_it_was_made_for() -> None:
    network = build_network(dense("mobilenetv2", stem_stride=2)).eval()
    assert network(torch.zeros(1, 3, 31, 22)).shape == (1, 5, 31, 22)


def test_what_is_behind_the_stages_makes_no_other_network() -> None:
    wide, narrow = (dense("mobilenetv3", head_channels=c, embedding=c) for c in (32, 64))
    assert identity(wide) == identity(narrow) != identity(small("mobilenetv3"))
    assert same(built(wide), built(narrow))


@pytest.mark.parametrize(("name", "value"), [("decoder_channels", 24), ("upsampling", "ddf-up")])
def test_its_settings_make_other_networks(name: str, value: object) -> None:
    assert identity(dense("shufflenetv2", **{name: value})) != identity(dense("shufflenetv2"))


def test_its_config_is_read_again(tmp_path: Path) -> None:
    a = dense("nas-bench-macro", upsampling="ddf-up")
    again = Architecture.from_dict(a.to_dict())
    assert (again.digest, again.head, again.named) == (a.digest, "decoder", "nas-bench-macro with decoder")
    assert a.digest != replace(a, head="").digest


def test_an_unknown_head_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match="decoder"):
        build_network(replace(small("resnet"), head="decodr"))


def test_the_deployed_network_computes_the_same() -> None:
    network = build_network(dense("mobilenetv2", upsampling="ddf-up")).eval()
    x = torch.randn(2, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(network.deploy()(x), network(x), rtol=1e-4, atol=1e-5)


def test_a_proxy_keeps_the_head_and_its_settings() -> None:
    a = for_proxy(dense("resnet", upsampling="ddf-up"), (1, 9, 9), 3)
    assert (a.head, a.settings["upsampling"], a.classes) == ("decoder", "ddf-up", 3)


@pytest.mark.parametrize("network", slow_but(["mobilenetv2", "resnet"], NETWORKS))
def test_a_proxy_that_takes_strides_away_keeps_the_places_of_the_decoder(network: str) -> None:
    """On 4x4 images the last map has its 3 pixels a side without any stride only, so that all maps are of one size."""
    a = dense(network, upsampling="ddf-up")
    smooth = next(s for s in slots_of(a) if s.role == "smooth")
    a = replace(a, layers={smooth.name: LayerChoice("odconv", operators["odconv"].resolve(smooth.geometry))})
    small_one = for_proxy(a, (3, 4, 4), 4)
    places = [[s.name for s in slots_of(x) if s.searchable and s.stage == "decoder"] for x in (a, small_one)]
    assert places[0] == places[1] == ["decoder.stage2.lateral", "decoder.stage1.lateral", "decoder.stage1.smooth"]
    assert "decoder.stage1.up" not in {s.name for s in slots_of(small_one)}
    assert build_network(small_one).eval()(torch.zeros(2, 3, 4, 4)).shape == (2, 4, 4, 4)
    verified(small_one, exact_metrics())


def test_a_config_says_which_stages_the_decoder_takes() -> None:
    a = dense("mobilenetv2", channels=(8, 16, 24), strides=(1, 2, 1), depth=1, expansion=2)
    cls = network_of("mobilenetv2", "decoder")
    assert cls.complete(a.settings)["decoder_stages"] == (1, 3)
    some = replace(a, settings={**a.settings, "decoder_stages": (2, 3)})
    assert [s.name for s in slots_of(some) if s.role in ("lateral", "up")] == [
        "decoder.stage3.lateral", "decoder.stage2.lateral", "decoder.up",
    ]  # fmt: skip
    verified(some, exact_metrics())


@pytest.mark.parametrize("wrong", [(2, 1), (1, 1), (0, 1), (3,), "all"])
def test_stages_that_there_are_not_are_refused(wrong: object) -> None:
    with pytest.raises(UsageError, match="decoder_stages cannot be"):
        network_of("resnet", "decoder").complete({**dense("resnet").settings, "decoder_stages": wrong})


def space(**changed: object) -> Document:
    settings = {
        "channels": [8, 16],
        "strides": [1, 2],
        "width": [0.5, 1.0],
        "upsampling": [*UPSAMPLING],
        "decoder_channels": [8, 16],
    }
    content = {
        "format": "dcdnas/space-1", "name": "dense", "network": "resnet", "head": "decoder", "input": [3, 12, 12], "classes": 5,
        "settings": settings, "slots": {"decoder.*.smooth": {"share": "network", "static": {}, "ddf": {}, "odconv": {}}},
        **changed,
    }  # fmt: skip
    return Document("dense.yaml", content, {})


def test_a_space_opens_its_places_and_its_settings() -> None:
    found = Compiler(space()).space()
    assert [d.name for d in found.decisions] == ["width", "decoder_channels", "upsampling", "smooth.operator"]
    assert places_of(found) is not None  # so that its extremes are exact
    low, high = smallest(found, "flops"), largest(found, "flops")
    assert low.cost["flops"] < high.cost["flops"] == verified(high.architecture)["flops"]
    choice = priced(found, {"smooth.operator": "ddf"}).architecture
    assert {c.operator for n, c in choice.layers.items() if n.startswith("decoder")} == {"ddf"}


def test_the_head_makes_another_space() -> None:
    dense_space = Compiler(space()).space()
    assert dense_space.digest != replace(dense_space, head="").digest


def test_a_space_with_an_unknown_head_says_where() -> None:
    with pytest.raises(SpaceError, match=r"dense.yaml:1: head: unknown head .decodr.. Did you mean .decoder.\?"):
        Compiler(space(head="decodr")).space()


def test_every_network_has_one_class_with_a_decoder() -> None:
    assert all(network_of(name, "decoder") is network_of(name, "decoder") for name in networks)


def test_no_place_of_it_is_searched_that_no_operator_fits() -> None:
    kinds = {s.name: s.searchable for s in slots_of(dense("resnet")) if s.stage == "decoder"}
    assert [name for name, searchable in kinds.items() if not searchable] == ["decoder.stage1.up", "decoder.classifier"]


def test_stages_of_nothing_but_identities_put_out_what_the_stem_does() -> None:
    a = dense("nas-bench-macro", block="identity", channels=(8, 8), strides=(1, 1))
    assert [s.name for s in slots_of(a)] == ["stem", "decoder.stage1.lateral", "decoder.classifier"]
    verified(a, exact_metrics())
