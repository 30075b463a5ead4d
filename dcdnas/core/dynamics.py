"""Records of how dynamic the layers of a trained network are, as measured by `dcdnas.analysis.attention`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dcdnas.core.units import counted


@dataclass(frozen=True)
class Spread:
    """How far one attention of a layer depends on the image.

    A sample is an image; for an attention that differs from pixel to pixel it is one output pixel of an image.

    Args:
        name: name of the attention in the operator's formula; ``kernel`` weights the kernels against each other.
        elements: number of values per sample.
        mean: mean of all values.
        relative: relative spread: the standard deviation over the samples, as root mean square over the elements, divided by
            the root mean square of the elements' means. 0 for an attention that is the same for every sample; None where all
            means are 0.
        entropy: entropy of the kernels' weights, which are normalised to sum to 1, averaged over the samples and divided by the
            entropy of equal weights: 1 when every sample mixes all kernels evenly, 0 when every sample selects a single one.
            None for other attentions.
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
        layer: name of its slot.
        operator: operator in the slot, e.g. ``dcd``.
        attentions: the attentions that the layer computes.
        share: dynamic share of the layer's output: the variance of the difference between the output and the output with every
            attention held at its mean over the samples, divided by the variance of the output. Both variances are over images
            and pixels and summed over the channels. 0 where the layer is effectively static; above 1 where the dynamic part
            and the rest cancel. None where the output is constant.
    """

    layer: str
    operator: str
    attentions: tuple[Spread, ...]
    share: float | None


@dataclass(frozen=True)
class Reading:
    """The attentions of a network at one point of its training.

    Args:
        epoch: number of epochs that the network had been trained.
        layers: the attentions of each layer that has any, by slot, in the order of computation.
    """

    epoch: float
    layers: Mapping[str, tuple[Spread, ...]]


Pattern = Literal["settles", "oscillates", "changes", "steady", "unclear", "short"]


@dataclass(frozen=True)
class Evolution:
    """How attentions evolve over a training, as found by `dcdnas.analysis.evolution`.

    Args:
        pattern: ``settles`` towards a level, ``oscillates`` about one, still ``changes`` at the end, or is ``steady`` (hardly
            changes). ``unclear`` where the changes may be noise, ``short`` where there are too few readings.
        readings: number of readings that were analysed.
        explained: share of the changes that the pattern explains; None without a pattern.
        half_life: epochs in which the remaining deviation halves; None where it does not decay, or not by a constant factor.
        period: period of an oscillation in epochs; None for another pattern.
    """

    pattern: Pattern
    readings: int
    explained: float | None = None
    half_life: float | None = None
    period: float | None = None

    @property
    def sentence(self) -> str:
        """Predicate of a sentence about the evolution, whose subject is the attention or layer."""
        fades = f"a half-life of {self.half_life:.2g} epochs" if self.half_life else ""
        match self.pattern:
            case "settles":
                return f"settles with {fades}" if fades else "has settled by the end"
            case "oscillates":
                return f"oscillates with a period of {self.period:.2g} epochs{f', and fades with {fades}' if fades else ''}"
            case "changes":
                return "still changes at the end"
            case "steady":
                return "hardly changes"
            case "unclear":
                return "is unclear: it may be noise"
            case "short":
                return f"is unclear from only {counted(self.readings, 'reading')}"


@dataclass(frozen=True)
class LayerCourse:
    """How the attentions of one layer evolved.

    Args:
        layer: name of its slot.
        spreads: spread (`Spread.relative`) at each reading, by the name of the attention.
        evolution: evolution of all attentions of the layer together.
    """

    layer: str
    spreads: Mapping[str, tuple[float | None, ...]]
    evolution: Evolution


@dataclass(frozen=True)
class Course:
    """How the attentions of a network evolved over a training.

    Args:
        epochs: number of epochs trained at each reading.
        layers: the layers that have attentions, in the order of computation.
        together: evolution of the attentions of all layers together.
    """

    epochs: tuple[float, ...]
    layers: tuple[LayerCourse, ...]
    together: Evolution


@dataclass(frozen=True)
class Attentions:
    """The analysis of one trained network's attentions.

    Args:
        data: name of the data set.
        images: number of validation images that were analysed.
        weights: origin of the trained weights, in words.
        accuracy: accuracy of these weights on all validation images, 0-1.
        layers: the layers that have attentions, in the order of computation.
        course: how the attentions evolved over the training; None where the training did not record it.
    """

    data: str
    images: int
    weights: str
    accuracy: float
    layers: tuple[Dynamics, ...]
    course: Course | None = None
