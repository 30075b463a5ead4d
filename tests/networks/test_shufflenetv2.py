from __future__ import annotations

from typing import Any

import pytest
import torch
from backbones import small
from hypothesis import given
from random_settings import architectures
from thoroughness import examples

from dcdnas.core.architecture import Architecture, LayerChoice
from dcdnas.cost import price
from dcdnas.networks import build_network, for_proxy, slots_of
from dcdnas.testing import network as rules


def of(**given: Any) -> Architecture:
    return Architecture("shufflenetv2", given, {}, (3, 224, 224), 1000)


WIDER = {"channels": (176, 352, 704)}


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        ({"channels": (48, 96, 192)}, 1_366_792),
        ({}, 2_278_604),
        (WIDER, 3_503_624),
        ({"channels": (244, 488, 976), "head_channels": 2048}, 7_393_996),
    ],
    ids=["0.5", "1.0", "1.5", "2.0"],
)
def test_it_has_the_published_parameters(given: dict[str, Any], parameters: int) -> None:
    assert price(of(**given))["params"] == parameters
    assert sum(p.numel() for p in build_network(of(**given)).parameters()) == parameters


@given(architectures("shufflenetv2"))
@examples(25)
def test_the_price_of_any_settings_is_what_the_whole_network_measures(architecture: Architecture) -> None:
    rules.price_is_measured(architecture)


def test_half_of_the_channels_pass_a_block_untouched_and_come_out_at_the_even_places() -> None:
    block = build_network(small("shufflenetv2")).eval().get_submodule("stage1.block2")
    x = torch.randn(2, 8, 5, 7)
    assert torch.equal(block(x)[:, 0::2], x[:, :4])
    assert not torch.allclose(block(x)[:, 1::2], x[:, 4:])


def test_the_first_block_of_a_stage_computes_on_all_channels_in_both_branches() -> None:
    roles = {s.name: s.geometry for s in slots_of(small("shufflenetv2"))}
    assert roles["stage2.block1.reduce"].in_channels == roles["stage2.block1.shrink"].in_channels == 8
    assert "stage2.block2.shrink" not in roles
    assert roles["stage2.block2.reduce"].in_channels == 8


def test_the_width_keeps_both_halves_equal() -> None:
    network = build_network(Architecture("shufflenetv2", {"width": 0.33}, {}, (3, 32, 32), 5)).eval()
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("size", [28, 32])
def test_it_is_adapted_to_small_images(size: int) -> None:
    proxy = for_proxy(of(), (1, size, size), 10)
    assert slots_of(proxy)[-2].geometry.height >= 3
    assert proxy.settings["stem"] in ("medium", "small")


def test_a_dynamic_network_deploys_and_computes_the_same_at_any_batch() -> None:
    plain = small("shufflenetv2", se=0.25)
    layers = {s.name: LayerChoice("odconv", {"num_kernels": 2}) for s in slots_of(plain) if s.role in ("reduce", "depthwise")}
    network = build_network(Architecture(plain.network, plain.settings, layers, plain.input, plain.classes)).double()
    x = torch.randn(8, 3, 12, 12, dtype=torch.double)
    network(x)  # BatchNorms see something
    network.eval()
    assert torch.allclose(network.deploy()(x), network(x), atol=1e-10)
    assert torch.allclose(network(x[:1]), network(x)[:1], atol=1e-10)
