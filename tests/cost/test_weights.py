"""Bytes of weights are those that a file of them holds, slot by slot and for whole networks."""

from __future__ import annotations

import io
import random
import zipfile

import pytest
import torch
from test_price import any_architecture, any_choice
from torch import nn

from dcdnas.core.architecture import Architecture
from dcdnas.cost import additive_metrics, exact_metrics, measure, metrics, price, slot_price, verified
from dcdnas.cost._price import measured_slot
from dcdnas.networks import Slot, build_network, networks, slots_of
from dcdnas.operators import operators


def stored(module: nn.Module) -> int:
    """Bytes of the tensors in the file that `torch.save` writes."""
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    with zipfile.ZipFile(file) as archive:
        return sum(entry.file_size for entry in archive.infolist() if "/data/" in entry.filename)


@pytest.mark.parametrize("network", networks)
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_the_price_is_what_a_file_of_the_network_holds(network: str, seed: int) -> None:
    architecture = any_architecture(network, seed)
    priced = price(architecture, ("weights",))["weights"]
    built = build_network(architecture)
    assert priced == stored(built) == measure(built, ("weights",))["weights"]


@pytest.mark.parametrize("operator", operators)
def test_a_slot_is_what_its_module_holds(operator: str) -> None:
    rng, used = random.Random(operator), set[str]()
    for slot in slots_of(Architecture("mobilenetv2", {"width": 0.25}, {}, (3, 32, 32), 10))[:8]:
        if slot.kind == "conv":
            choice = any_choice(slot, rng, operator)
            used.add(choice.operator)
            place = Slot(slot.kind, slot.geometry, slot.kind)
            assert slot_price(slot, choice, ("weights",))[0] == measured_slot(place, choice, "weights")
    assert operator in used


def test_half_precision_takes_half_the_bytes_of_what_is_a_number() -> None:
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    whole, counter = metrics["weights"].measure(module, (3, 8, 8)), 8
    assert whole == 4 * (3 * 8 * 9 + 8 + 4 * 8) + counter
    assert metrics["weights"].measure(module.half(), (3, 8, 8)) == (whole - counter) // 2 + counter


@pytest.mark.slow
def test_a_network_is_verified_by_every_metric() -> None:
    architecture = any_architecture("mobilenetv2", 0)
    assert set(verified(architecture).values) == set(additive_metrics())
    assert set(verified(architecture, exact_metrics()).values) == set(exact_metrics())
