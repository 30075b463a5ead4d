"""What an architecture builds, seen from outside: shapes of its state, its input, and its output with weights made from names."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from dcdnas.core.architecture import Architecture
from dcdnas.networks import Network, build_network, class_of, slots_of

GAIN = 1.0
"""Of the weights: small enough that no stack of dynamic layers, whose kernels grow with their inputs, overflows."""


class Built(NamedTuple):
    """A network as a stranger can compare it."""

    input: tuple[int, ...]
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    network: Network


def built(architecture: Architecture) -> Built:
    network = build_network(architecture).eval()
    names = compared(network)
    shapes = tuple((names[name], tuple(t.shape)) for name, t in network.state_dict().items())
    return Built(architecture.input, shapes, network)


def compared(network: Network) -> dict[str, str]:
    """The names of the network's state, each with that of the slot under which networks are compared."""
    slots = slots_of(network.architecture)
    names = class_of(network.architecture).names_compared(slots)
    found = {name: next((s.name for s in slots if name.startswith(f"{s.name}.")), "") for name in network.state_dict()}
    return {name: names.get(slot, slot) + name.removeprefix(slot) for name, slot in found.items()}


@torch.no_grad()
def answer(network: Network, input: tuple[int, ...]) -> Tensor:
    """(2, classes) in float64, every parameter and buffer filled with numbers that its name and shape alone decide."""
    network, names = network.double(), compared(network)
    for name, tensor in network.state_dict().items():
        seed = int.from_bytes(hashlib.sha256(names[name].encode()).digest()[:4], "big")
        drawn = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        if tensor.is_floating_point() and "temperature" not in name:
            fan = max(1, tensor[0].numel()) if tensor.dim() > 1 else 1
            tensor.copy_(0.5 + drawn if tensor.dim() < 2 else (2 * drawn - 1) * (GAIN / fan) ** 0.5)
    x = torch.rand((2, *input), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y: Tensor = network(x)
    assert y.isfinite().all(), "numbers that overflow compare nothing"
    return y


def same(a: Built, b: Built) -> bool:
    """Whether two networks take the same input, have the same state, and compute the same with equal weights."""
    if (a.input, a.shapes) != (b.input, b.shapes):
        return False
    return torch.allclose(answer(a.network, a.input), answer(b.network, b.input), rtol=1e-9, atol=1e-12)
