"""Statistics of a network's attentions over some images, and the CSV table with one reading of them per epoch."""

from __future__ import annotations

import copy
import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dcdnas.core.dynamics import Reading, Spread
from dcdnas.core.files import read_text
from dcdnas.data import Images
from dcdnas.errors import FileError
from dcdnas.networks import Network
from dcdnas.operators import Operator
from dcdnas.training.augment import normalised

BATCH = 16
"""Images per forward pass."""

LOOKED_AT = 48
"""Number of images, evenly spaced, that a reading during a training uses."""

FILE = "attentions.csv"
"""Name of the file with a training's readings, in the training's folder."""

LARGEST = 2**26
"""The most bytes of that file that are read; 300 epochs of 100 layers take 10 million."""

COLUMNS = ("epoch", "layer", "attention", "elements", "mean", "spread", "entropy")


class Moments:
    """Running sums over samples (M, E), which give the mean and variance of each element."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Any = 0.0
        self.squares: Any = 0.0
        self.origin: Any = None

    def take(self, samples: Tensor) -> None:
        """Adds samples (M, E), as differences from the first sample, whose sums keep their precision when the spread is small."""
        wide = samples.double()
        self.origin = wide[0] if self.origin is None else self.origin
        wide = wide - self.origin
        self.count += len(wide)
        self.total = self.total + wide.sum(0)
        self.squares = self.squares + wide.square().sum(0)

    @property
    def mean(self) -> Tensor:
        """(E,) mean of each element."""
        mean: Tensor = self.origin + self.total / self.count
        return mean

    @property
    def variance(self) -> Tensor:
        """(E,) variance of each element."""
        variance: Tensor = self.squares / self.count - (self.total / self.count).square()
        return variance.clamp_min(0)


class Attention:
    """Accumulates the statistics of one attention over all samples.

    Args:
        of_map: whether the attention differs from pixel to pixel, so that each pixel is a sample.
    """

    def __init__(self, of_map: bool) -> None:
        self.of_map, self.moments, self.entropy, self.kernels = of_map, Moments(), 0.0, 0

    def take(self, attention: Tensor, weighs_kernels: bool) -> None:
        """Adds the attention of a batch: (N, ...), or (N, ..., H', W') for one that differs from pixel to pixel."""
        samples = attention.movedim((-2, -1), (1, 2)).flatten(0, 2) if self.of_map else attention
        samples = samples.flatten(1)
        self.moments.take(samples)
        if weighs_kernels:
            self.kernels = samples.shape[1]
            shares = samples.double() / samples.double().sum(1, keepdim=True)
            self.entropy += float(torch.special.entr(shares).sum())

    def held(self, like: Tensor) -> Tensor:
        """Returns the mean over all samples, expanded to the shape of one batch's attention."""
        mean = self.moments.mean.to(like.dtype)
        if self.of_map:
            return mean.view(1, *like.shape[1:-2], 1, 1).expand_as(like)
        return mean.view(1, *like.shape[1:]).expand_as(like)

    def spread(self, name: str) -> Spread:
        """Returns the summary of the collected statistics."""
        mean, level = self.moments.mean, float(self.moments.mean.square().mean().sqrt())
        relative = float(self.moments.variance.mean().sqrt()) / level if level > 0 else None
        even = self.entropy / self.moments.count / math.log(self.kernels) if self.kernels > 1 else None
        return Spread(name, mean.numel(), float(mean.mean()), relative, even)


def showing(network: Network, device: torch.device | str | None = None) -> Network:
    """Copies a network, in eval mode, with layers that execute the form in which all of their attentions can be observed.

    Args:
        network: is not changed.
        device: of the copy; None for the network's device.
    """
    shown = copy.deepcopy(network).to(device or next(network.parameters()).device).eval()
    for operator in operators_of(shown).values():
        operator.form = operator.forms(operator.geometry, operator._settings())[0]
    return shown


def operators_of(network: Network) -> dict[str, Operator]:
    """Returns the operators of a network by their module names."""
    return {name: module for name, module in network.named_modules() if isinstance(module, Operator)}


def slot_of(network: Network, name: str) -> str | None:
    """Returns the slot of an operator with this module name; None for an operator inside another one."""
    slot = name.removesuffix(".conv")
    return slot if slot in network.architecture.layers else None


@torch.inference_mode()
def seen_in(shown: Network, images: Images) -> dict[str, dict[str, Attention]]:
    """Collects the statistics of each attention over images, by operator name and attention name.

    Operators without attentions are left out.

    Args:
        shown: from `showing`.
        images: of the network's input size.
    """
    seen: dict[str, dict[str, Attention]] = {}
    for name, operator in operators_of(shown).items():
        operator.observer = partial(_note, seen.setdefault(name, {}))
    for x in batches(images, next(shown.parameters()).device):
        shown(x)
    for operator in operators_of(shown).values():
        operator.observer = None
    return {name: found for name, found in seen.items() if found}


def _note(seen: dict[str, Attention], name: str, attention: Tensor, of_map: bool) -> Tensor:
    seen.setdefault(name, Attention(of_map)).take(attention, name == "kernel")
    return attention


def batches(images: Images, device: torch.device | str) -> Iterator[Tensor]:
    """Yields the images in order, as float batches (N, C, H, W) of at most `BATCH` images."""
    for x, _ in images.intact(torch.arange(len(images), device=images.rows.device).split(BATCH)):  # type: ignore[no-untyped-call]
        yield normalised(x.to(device), images.mean, images.std)


def reading_of(shown: Network, images: Images, epoch: float) -> Reading:
    """Takes a reading of the attentions of a network in training, without drawing random numbers.

    Args:
        shown: from `showing`, so that the network in training is not changed.
        images: the reading uses `LOOKED_AT` of them.
        epoch: number of epochs that the network has been trained for.
    """
    count = min(LOOKED_AT, len(images))
    some = images.take(torch.linspace(0, len(images) - 1, count, device=images.rows.device).round().long())
    seen = seen_in(shown, some)
    slots = {name: slot for name in seen if (slot := slot_of(shown, name))}
    return Reading(epoch, {slot: tuple(a.spread(n) for n, a in seen[name].items()) for name, slot in slots.items()})


def as_csv(readings: Sequence[Reading]) -> str:
    """Formats readings as CSV: a header row of `COLUMNS`, then one row for each attention of each reading."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for reading in readings:
        for layer, attentions in reading.layers.items():
            writer.writerows(
                (f"{reading.epoch:g}", layer, a.name, a.elements, *map(_number, (a.mean, a.relative, a.entropy)))
                for a in attentions
            )
    return text.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def readings_in(path: Path) -> list[Reading]:
    """Reads the readings that `as_csv` formatted from a file; an empty list when the file is missing or cannot be read."""
    found: dict[float, dict[str, list[Spread]]] = {}
    try:
        for row in csv.DictReader(io.StringIO(read_text(path, LARGEST))):
            found.setdefault(float(row["epoch"]), {}).setdefault(row["layer"], []).append(_spread(row))
    except (FileError, ValueError, KeyError, TypeError):
        return []
    return [Reading(epoch, {layer: tuple(a) for layer, a in layers.items()}) for epoch, layers in found.items()]


def _spread(row: Mapping[str, str]) -> Spread:
    relative, entropy = (float(row[name]) if row[name] else None for name in ("spread", "entropy"))
    return Spread(row["attention"], int(row["elements"]), float(row["mean"]), relative, entropy)
