"""Compares built networks: their inputs, the shapes of their states, and their outputs with weights derived from names."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import torch
from torch import Tensor

from dcdnas.core.architecture import Architecture
from dcdnas.networks import Network, build_network, class_of, slots_of

GAIN = 1.0
"""Scale of the weights: small enough that stacked dynamic layers, whose kernels grow with their inputs, do not overflow."""


class Built(NamedTuple):
    """A built network, with what can be compared without knowledge of its architecture."""

    input: tuple[int, ...]
    shapes: tuple[tuple[str, tuple[int, ...]], ...]
    network: Network


def built(architecture: Architecture) -> Built:
    network = build_network(architecture).eval()
    names = compared(network)
    shapes = tuple((names[name], tuple(t.shape)) for name, t in network.state_dict().items())
    return Built(architecture.input, shapes, network)


def compared(network: Network) -> dict[str, str]:
    """Names of the network's state dict -> the names under which networks are compared."""
    slots = slots_of(network.architecture)
    names = class_of(network.architecture).names_compared(slots)
    found = {name: next((s.name for s in slots if name.startswith(f"{s.name}.")), "") for name in network.state_dict()}
    return {name: names.get(slot, slot) + name.removeprefix(slot) for name, slot in found.items()}


@torch.no_grad()
def answer(network: Network, input: tuple[int, ...]) -> Tensor:
    """Output (2, classes) in float64, with every parameter and buffer filled with numbers derived from its name and shape."""
    network, names = network.double(), compared(network)
    for name, tensor in network.state_dict().items():
        seed = int.from_bytes(hashlib.sha256(names[name].encode()).digest()[:4], "big")
        drawn = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        if tensor.is_floating_point() and "temperature" not in name:
            fan = max(1, tensor[0].numel()) if tensor.dim() > 1 else 1
            tensor.copy_(0.5 + drawn if tensor.dim() < 2 else (2 * drawn - 1) * (GAIN / fan) ** 0.5)
    x = torch.rand((2, *input), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y: Tensor = network(x)
    assert y.isfinite().all(), "outputs that overflow cannot be compared"
    return y


def same(a: Built, b: Built) -> bool:
    """Whether two networks have the same input, the same state shapes, and the same output with equal weights."""
    if (a.input, a.shapes) != (b.input, b.shapes):
        return False
    return torch.allclose(answer(a.network, a.input), answer(b.network, b.input), rtol=1e-9, atol=1e-12)
