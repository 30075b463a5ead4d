"""Attention statistics of a network: two passes over the images, the first for what each attention is like, the second for what
becomes of each layer's output when its attentions are held at their means."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dcdnas.core.dynamics import Attentions, Dynamics, Spread
from dcdnas.data import Images
from dcdnas.networks import Network
from dcdnas.operators import Observer, Operator
from dcdnas.training.augment import normalised
from dcdnas.training.loop import evaluate

BATCH = 16
"""Images at one time."""


def attentions(network: Network, validation: Images, count: int, weights: str) -> Attentions:
    """How dynamic a trained network is, and how good.

    Args:
        network: trained; it is not changed.
        validation: images, all of which judge the network.
        count: of these images, the first of which show how dynamic it is; all when there are fewer.
        weights: where the trained weights come from, in words.
    """
    some = validation.take(torch.arange(min(count, len(validation)), device=validation.rows.device))
    accuracy = evaluate(network, validation)["accuracy"]
    return Attentions(validation.name, len(some), weights, accuracy, tuple(dynamics(network, some)))


@torch.inference_mode()
def dynamics(network: Network, images: Images, device: torch.device | str = "cpu") -> list[Dynamics]:
    """How dynamic each layer with attentions is over some images, in the order of computation.

    Args:
        network: trained; it is not changed.
        images: of its input size, in the order in which they are looked at.
        device: to compute on.
    """
    network = copy.deepcopy(network).to(device).eval()
    layers = {name: module for name, module in network.named_modules() if isinstance(module, Operator)}
    for operator in layers.values():
        operator.form = operator.forms(operator.geometry, operator._settings())[0]  # the one that shows all attentions
    seen: dict[str, dict[str, _Attention]] = {name: {} for name in layers}
    for name, operator in layers.items():
        operator.observer = partial(_note, seen[name])
    for x in _batches(images, device):
        network(x)
    shares = {name: _Share(operator, seen[name]) for name, operator in layers.items() if seen[name]}
    with _hooked(layers, shares):
        for x in _batches(images, device):
            network(x)
    choices = network.architecture.layers
    return [
        Dynamics(slot, choices[slot].operator, tuple(a.spread(n) for n, a in seen[name].items()), share.value)
        for name, share in shares.items()
        if (slot := name.removesuffix(".conv")) in choices
    ]


def _batches(images: Images, device: torch.device | str) -> Iterator[Tensor]:
    for rows in torch.arange(len(images), device=images.rows.device).split(BATCH):  # type: ignore[no-untyped-call]
        yield normalised(images.batch(rows)[0].to(device), images.mean, images.std)


class _Moments:
    """Sums over samples (M, E), from which mean and variance of each element follow."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Any = 0.0
        self.squares: Any = 0.0
        self.origin: Any = None

    def take(self, samples: Tensor) -> None:
        """Takes samples (M, E); sums are of the distances to the first, which lose no digits where the spread is small."""
        wide = samples.double()
        self.origin = wide[0] if self.origin is None else self.origin
        wide = wide - self.origin
        self.count += len(wide)
        self.total = self.total + wide.sum(0)
        self.squares = self.squares + wide.square().sum(0)

    @property
    def mean(self) -> Tensor:
        """(E,)."""
        mean: Tensor = self.origin + self.total / self.count
        return mean

    @property
    def variance(self) -> Tensor:
        """(E,)."""
        variance: Tensor = self.squares / self.count - (self.total / self.count).square()
        return variance.clamp_min(0)


class _Attention:
    """What one attention was like over all samples."""

    def __init__(self, of_map: bool) -> None:
        self.of_map, self.moments, self.entropy, self.kernels = of_map, _Moments(), 0.0, 0

    def take(self, attention: Tensor, weighs_kernels: bool) -> None:
        """Takes (N, ...), or (N, ..., H', W') of a map."""
        samples = attention.movedim((-2, -1), (1, 2)).flatten(0, 2) if self.of_map else attention
        samples = samples.flatten(1)
        self.moments.take(samples)
        if weighs_kernels:
            self.kernels = samples.shape[1]
            shares = samples.double() / samples.double().sum(1, keepdim=True)
            self.entropy += float(torch.special.entr(shares).sum())

    def held(self, like: Tensor) -> Tensor:
        """The mean over all samples, in the shape of one batch's attention."""
        mean = self.moments.mean.to(like.dtype)
        if self.of_map:
            return mean.view(1, *like.shape[1:-2], 1, 1).expand_as(like)
        return mean.view(1, *like.shape[1:]).expand_as(like)

    def spread(self, name: str) -> Spread:
        """In numbers."""
        mean, level = self.moments.mean, float(self.moments.mean.square().mean().sqrt())
        relative = float(self.moments.variance.mean().sqrt()) / level if level > 0 else None
        even = self.entropy / self.moments.count / math.log(self.kernels) if self.kernels > 1 else None
        return Spread(name, mean.numel(), float(mean.mean()), relative, even)


def _note(seen: dict[str, _Attention], name: str, attention: Tensor, of_map: bool) -> Tensor:
    seen.setdefault(name, _Attention(of_map)).take(attention, name == "kernel")
    return attention


def _hold(seen: dict[str, _Attention], name: str, attention: Tensor, of_map: bool) -> Tensor:
    return seen[name].held(attention)


class _Share:
    """A forward hook that computes a layer again with its attentions held, and compares."""

    def __init__(self, operator: Operator, seen: dict[str, _Attention]) -> None:
        self.hold: Observer = partial(_hold, seen)
        self.whole, self.dynamic = _Moments(), _Moments()

    def __call__(self, operator: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        """Sees one forward pass."""
        assert isinstance(operator, Operator)
        operator.observer = self.hold
        held = operator.forward(*given)
        operator.observer = None
        self.whole.take(_pixels(output))
        self.dynamic.take(_pixels(output.double() - held.double()))

    @property
    def value(self) -> float | None:
        """See `Dynamics.share`."""
        whole = float(self.whole.variance.sum())
        return float(self.dynamic.variance.sum()) / whole if whole > 0 else None


def _pixels(y: Tensor) -> Tensor:
    """(N, D, H', W') or (N, D) -> (samples, D)."""
    return y.movedim(1, -1).flatten(0, -2)


@contextmanager
def _hooked(layers: dict[str, Operator], shares: dict[str, _Share]) -> Iterator[None]:
    for operator in layers.values():
        operator.observer = None
    handles = [layers[name].register_forward_hook(share) for name, share in shares.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
