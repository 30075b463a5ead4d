"""How dynamic the layers of a trained network are, in numbers; `dcdnas.analysis.attention` measures them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """How far one attention of a layer depends on the image.

    A sample is an image; for an attention that differs from pixel to pixel it is one output pixel of an image.

    Args:
        name: as in the operator's formula; ``kernel`` weighs kernels against each other.
        elements: values of it a sample.
        mean: of all values.
        relative: the standard deviation of an element over the samples, as root mean square over the elements, divided by the
            root mean square of the elements' means; 0 for an attention that is the same for every sample. None where all
            means are 0.
        entropy: of the kernels' weights, divided by their sum, averaged over the samples and divided by that of equal weights:
            1 when every sample mixes all kernels evenly, 0 when each takes a single one. None for other attentions.
    """

    name: str
    elements: int
    mean: float
    relative: float | None
    entropy: float | None = None


@dataclass(frozen=True)
class Dynamics:
    """How dynamic one layer is.

    Args:
        layer: its slot.
        operator: that stands there, e.g. ``dcd``.
        attentions: that it computes.
        share: variance of the layer's output less its output with every attention held at its mean over the samples, divided
            by the variance of its output; both over images and pixels, summed over the channels. 0 where the layer is as good
            as static; above 1 where the dynamic part and the rest cancel. None where the output is constant.
    """

    layer: str
    operator: str
    attentions: tuple[Spread, ...]
    share: float | None


@dataclass(frozen=True)
class Reading:
    """What the attentions of a network were like at one time of its training.

    Args:
        epoch: epochs that it was trained by then.
        layers: the attentions of each layer that has any, by its slot in the order of computation.
    """

    epoch: float
    layers: Mapping[str, tuple[Spread, ...]]


@dataclass(frozen=True)
class Attentions:
    """What is known of one trained network's attentions.

    Args:
        data: name of the data set.
        images: of its validation part that were looked at.
        weights: where the trained weights come from, in words.
        accuracy: of these weights on all validation images, 0-1.
        layers: that have attentions, in the order of computation.
    """

    data: str
    images: int
    weights: str
    accuracy: float
    layers: tuple[Dynamics, ...]
