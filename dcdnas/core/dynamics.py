"""How dynamic the layers of a trained network are, in numbers; `dcdnas.analysis.attention` measures them."""

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


Pattern = Literal["settles", "oscillates", "changes", "steady", "unclear", "short"]


@dataclass(frozen=True)
class Evolution:
    """How attentions evolve over a training; `dcdnas.analysis.evolution` finds it.

    Args:
        pattern: ``settles`` towards a level, ``oscillates`` about one, ``changes`` still at the end, or hardly changes
            (``steady``). ``unclear`` where its changes may be chance, ``short`` where there are too few readings.
        readings: that were looked at.
        explained: share of what changes that the pattern explains; None without one.
        half_life: epochs in which half of what is left fades; None where it does not, or not by the same factor each time.
        period: epochs of an oscillation; None for another pattern.
    """

    pattern: Pattern
    readings: int
    explained: float | None = None
    half_life: float | None = None
    period: float | None = None

    @property
    def sentence(self) -> str:
        """In words, after the name of what evolves."""
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
                return "cannot be told: it may be noise"
            case "short":
                return f"cannot be told from {counted(self.readings, 'reading')}"


@dataclass(frozen=True)
class LayerCourse:
    """How the attentions of one layer evolved.

    Args:
        layer: its slot.
        spreads: by the name of the attention its spread (`Spread.relative`) at each reading.
        evolution: of all of them together.
    """

    layer: str
    spreads: Mapping[str, tuple[float | None, ...]]
    evolution: Evolution


@dataclass(frozen=True)
class Course:
    """How the attentions of a network evolved over a training.

    Args:
        epochs: trained at each reading.
        layers: that have attentions, in the order of computation.
        together: how those of all layers evolved.
    """

    epochs: tuple[float, ...]
    layers: tuple[LayerCourse, ...]
    together: Evolution


@dataclass(frozen=True)
class Attentions:
    """What is known of one trained network's attentions.

    Args:
        data: name of the data set.
        images: of its validation part that were looked at.
        weights: where the trained weights come from, in words.
        accuracy: of these weights on all validation images, 0-1.
        layers: that have attentions, in the order of computation.
        course: how they evolved over the training; None where nobody wrote it down.
    """

    data: str
    images: int
    weights: str
    accuracy: float
    layers: tuple[Dynamics, ...]
    course: Course | None = None
