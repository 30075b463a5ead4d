"""Training goes on where a channel has one value, and every temperature arrives when the trainer says so."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from contract import image, make, place, refusal, variations
from portability import SMALL, VARIANTS, images, network_of
from torch import nn

from dcdnas.operators import Operator, operators

NAMES = sorted(operators)
PIXEL = (place(16, 16, 1, height=1, width=1), place(16, 16, 3, height=1, width=1), place(16, 16, 3, groups=16, height=1, width=1))
TAKEN = {name: [g for g in PIXEL if refusal(operators[name], g) is None] for name in NAMES}
PLACES = [
    pytest.param(name, g, id=f"{name}-{g}", marks=[pytest.mark.slow] * (g != taken[turn % len(taken)]))
    for turn, (name, taken) in enumerate(TAKEN.items())
    for g in taken
]


def statistics(module: nn.Module) -> list[torch.Tensor]:
    """All running statistics, copied."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    return [b.clone() for norm in norms for b in norm.buffers()]


def temperatures(module: nn.Module) -> list[float]:
    return [b.item() for name, b in module.named_buffers() if name.rpartition(".")[2] == "temperature"]


@pytest.mark.parametrize(("name", "geometry"), PLACES)
def test_one_image_of_one_pixel_trains_and_leaves_statistics_alone(name: str, geometry) -> None:
    for settings in variations(operators[name]):
        if refusal(operators[name], geometry, **settings) is None:
            operator = make(operators[name], geometry, **settings).train()
            for form in operator.training_forms(geometry, operator._settings()):
                operator.training_form = form
                before = statistics(operator)
                operator.zero_grad()
                y = operator(image(geometry, 1))
                y.square().sum().backward()
                assert y.isfinite().all(), f"{settings} {form}"
                assert all(p.grad is not None and p.grad.isfinite().all() for p in operator.parameters()), f"{settings} {form}"
                if name != "idconv":  # its BatchNorm sees k x k tiles, of one pixel, too
                    assert all(map(torch.equal, statistics(operator), before)), f"{settings} {form}"


@pytest.mark.parametrize("network", SMALL)
def test_a_network_trains_on_one_image_whose_last_maps_are_one_pixel(network: str) -> None:
    trained = network_of(network, *VARIANTS).train()
    y = trained(images((3, 2, 2), 1))
    y.square().sum().backward()
    assert y.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.parameters())
    assert all(b.isfinite().all() for b in statistics(trained))


@pytest.mark.parametrize("name", NAMES)
def test_every_temperature_falls_to_its_end_whatever_it_was_told_before(name: str) -> None:
    geometry = next(g for g in (place(8, 8, 3), place(8, 8, 1)) if refusal(operators[name], g) is None)
    for settings in variations(operators[name]):
        if refusal(operators[name], geometry, **settings) is not None:
            continue
        operator = operators[name].at(geometry, **settings)
        names, start = list(operator.state_dict()), temperatures(operator)
        seen = []
        for progress in (0.0, 0.3, 0.9, 1.0):
            operator.anneal(progress)
            seen.append(temperatures(operator))
        assert seen[0] == start
        assert seen[-1] == [0.0 if name == "kernel-warehouse" else 1.0] * len(start)
        assert all(a > b for earlier, later in pairwise(seen) for a, b in zip(earlier, later, strict=True))
        operator.anneal(2.0)
        assert temperatures(operator) == seen[-1]
        operator.anneal(-1.0)
        assert temperatures(operator) == start
        assert list(operator.state_dict()) == names


@pytest.mark.parametrize("name", NAMES)
def test_annealing_changes_only_what_has_a_temperature_and_survives_saving(name: str) -> None:
    geometry = next(g for g in (place(8, 8, 3), place(8, 8, 1)) if refusal(operators[name], g) is None)
    operator, x = make(operators[name], geometry), image(geometry)
    operator.anneal(0.0)
    hot = operator(x)
    operator.anneal(1.0)
    cold = operator(x)
    assert torch.equal(hot, cold) != bool(temperatures(operator))
    again = make(operators[name], geometry, seed=5)
    again.load_state_dict(copy.deepcopy(operator.state_dict()))
    assert torch.equal(again(x), cold)


def test_a_network_tells_every_operator() -> None:
    network = network_of("mobilenetv2", "odconv", "dyconv", "kernel-warehouse")
    network.anneal(0.0)
    assert max(temperatures(network)) > 1
    network.anneal(1.0)
    assert temperatures(network)
    assert set(temperatures(network)) == {0.0, 1.0}
    assert {type(m) for m in network.modules() if isinstance(m, Operator)} >= {operators["odconv"], operators["dyconv"]}
