"""Attention statistics of a network, from two passes over the images.

The first pass collects the statistics of each attention; the second measures how each layer's output changes when its attentions
are held at their means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from dcdnas.analysis._evolution import course_of
from dcdnas.core.dynamics import Attentions, Dynamics, Reading
from dcdnas.data import Images
from dcdnas.networks import Network
from dcdnas.operators import Observer, Operator
from dcdnas.training.attentions import Attention, Moments, batches, operators_of, seen_in, showing, slot_of
from dcdnas.training.loop import evaluate


def attentions(network: Network, validation: Images, count: int, weights: str, readings: Sequence[Reading] = ()) -> Attentions:
    """Measures how dynamic the layers of a trained network are, and its accuracy.

    Args:
        network: trained network, which is not changed.
        validation: validation images, all of which are used for the accuracy.
        count: number of these images, from the first, that are used for the attentions; all when there are fewer.
        weights: origin of the trained weights, in words.
        readings: readings of its attentions over the training, if there are any.
    """
    some = validation.take(torch.arange(min(count, len(validation)), device=validation.rows.device))
    accuracy = evaluate(network, validation)["accuracy"]
    found = tuple(dynamics(network, some))
    return Attentions(validation.name, len(some) - len(some.met), weights, accuracy, found, course_of(readings))


@torch.inference_mode()
def dynamics(network: Network, images: Images, device: torch.device | str = "cpu") -> list[Dynamics]:
    """Measures how dynamic each layer with attentions is over some images, in the order of computation.

    Args:
        network: trained network, which is not changed.
        images: images of its input size, in the order in which they are processed.
        device: device to compute on.
    """
    shown = showing(network, device)
    seen = seen_in(shown, images)
    layers = operators_of(shown)
    shares = {name: _Share(layers[name], found) for name, found in seen.items()}
    with _hooked(layers, shares):
        for x in batches(images, device):
            shown(x)
    choices = network.architecture.layers
    return [
        Dynamics(slot, choices[slot].operator, tuple(a.spread(n) for n, a in seen[name].items()), share.value)
        for name, share in shares.items()
        if (slot := slot_of(network, name))
    ]


def _hold(seen: dict[str, Attention], name: str, attention: Tensor, of_map: bool) -> Tensor:
    return seen[name].held(attention)


class _Share:
    """Forward hook that computes a layer a second time with its attentions held at their means, and compares the outputs."""

    def __init__(self, operator: Operator, seen: dict[str, Attention]) -> None:
        self.hold: Observer = partial(_hold, seen)
        self.whole, self.dynamic = Moments(), Moments()

    def __call__(self, operator: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        """Compares the outputs of one forward pass."""
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
    """Flattens images and pixels to samples: (N, D, H', W') or (N, D) -> (samples, D)."""
    return y.movedim(1, -1).flatten(0, -2)


@contextmanager
def _hooked(layers: dict[str, Operator], shares: dict[str, _Share]) -> Iterator[None]:
    handles = [layers[name].register_forward_hook(share) for name, share in shares.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
