from __future__ import annotations

import pytest
import torch
from hypothesis import given
from random_settings import architectures
from thoroughness import examples

from dcdnas.core.architecture import Architecture
from dcdnas.cost import measure, price
from dcdnas.errors import UsageError
from dcdnas.networks import build_network, for_proxy, slots_of
from dcdnas.testing import network as rules


def of(variant: str, **given: object) -> Architecture:
    return Architecture("mobilenetv3", {"variant": variant, **given}, {}, (3, 224, 224), 1000)  # type: ignore[dict-item]


@pytest.mark.parametrize(("variant", "parameters"), [("large", 5_483_032), ("small", 2_542_856)])
def test_it_has_the_published_parameters(variant: str, parameters: int) -> None:
    architecture = of(variant)
    network = build_network(architecture)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert dict(price(architecture).values) == dict(measure(network).values)


@given(architectures("mobilenetv3"))
@examples(25)
def test_the_price_of_any_settings_is_what_the_whole_network_measures(architecture: Architecture) -> None:
    rules.price_is_measured(architecture)


def test_the_large_one_squeezes_in_three_of_its_stages_with_a_hard_sigmoid() -> None:
    gates = [s for s in slots_of(of("large")) if s.kind == "gate"]
    assert [s.stage for s in gates] == ["stage3"] * 3 + ["stage5"] * 2 + ["stage6"] * 3
    assert {s.activation for s in gates} == {"hardsigmoid"}


def test_stem_head_and_embedding_are_hard_swish_and_the_first_stages_relu() -> None:
    activations = {s.name: s.activation for s in slots_of(of("small"))}
    assert [activations[n] for n in ("stem", "head", "embedding")] == ["hardswish"] * 3
    assert activations["stage1.block1.depthwise"] == "relu"
    assert activations["stage3.block1.depthwise"] == "hardswish"


def test_a_stage_more_or_less_keeps_the_defaults_of_the_others() -> None:
    shorter = of("large", channels=(16, 24, 40), depth=(1, 3, 1))
    kernels = [s.geometry.kernel_size for s in slots_of(shorter) if s.role == "depthwise"]
    assert kernels == [3, 3, 3, 3, 5]
    assert build_network(shorter)(torch.randn(2, 3, 64, 64)).shape == (2, 1000)


def test_an_unknown_variant_says_which_there_are() -> None:
    with pytest.raises(UsageError, match=r"variant cannot be 'medium'\. Allowed: large, small"):
        slots_of(of("medium"))


@pytest.mark.slow
def test_it_is_adapted_to_small_images_and_learns() -> None:
    proxy = for_proxy(of("small", width=0.25), (1, 28, 28), 10)
    network = build_network(proxy)
    x, y = torch.randn(16, 1, 28, 28), torch.arange(16) % 10
    optimizer = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(network(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
