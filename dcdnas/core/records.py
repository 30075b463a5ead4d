"""Plain frozen data that every layer shares: geometry, cost, task, score, trial. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from dcdnas.errors import GeometryError, UsageError

if TYPE_CHECKING:
    from dcdnas.core.architecture import Architecture

State = Literal["finished", "stopped", "failed", "interrupted", "running", "refused", "replayed"]
ENDED: tuple[State, ...] = ("finished", "stopped")
"""The states that count as one of the `-n N` trainings."""

AUGMENTATIONS = ("none", "flip", "crop-flip")
"""How a training varies its images."""

Setting = int | float | bool | str
"""A value of an operator's setting: a scalar, so that it is hashable, orderable in a table and the same in YAML and JSON."""


@dataclass(frozen=True, slots=True, order=True)
class ConvGeometry:
    """The place a convolution fills.

    Args:
        in_channels: C, channels of the input.
        out_channels: D, channels of the output.
        kernel_size: k, side of the square kernel.
        stride: of both axes.
        groups: as in `torch.nn.Conv2d`.
        dilation: of both axes.
        height: H, rows of the *input* map.
        width: W, columns of the input map.

    Raises:
        GeometryError: when no `Conv2d` has this geometry.
    """

    in_channels: int
    out_channels: int
    kernel_size: int = 1
    stride: int = 1
    groups: int = 1
    dilation: int = 1
    height: int = 1
    width: int = 1

    def __post_init__(self) -> None:
        least = min(self.in_channels, self.out_channels, self.kernel_size, self.stride)
        if min(least, self.groups, self.dilation, self.height, self.width) < 1:
            name = next(name for name in self.__slots__ if getattr(self, name) < 1)
            raise GeometryError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.groups > 1:
            for name in ("in_channels", "out_channels"):
                if getattr(self, name) % self.groups:
                    raise GeometryError(f"groups {self.groups} does not divide {name} {getattr(self, name)}.")

    @property
    def padding(self) -> int:
        """The padding that keeps the map's size at stride 1 for an odd kernel."""
        return self.dilation * (self.kernel_size - 1) // 2

    @property
    def out_height(self) -> int:
        """Rows of the output map."""
        return self._out(self.height)

    @property
    def out_width(self) -> int:
        """Columns of the output map."""
        return self._out(self.width)

    @property
    def out_pixels(self) -> int:
        """Pixels of one output channel."""
        return self.out_height * self.out_width

    @property
    def weights(self) -> int:
        """Elements of the kernel: D C/g k^2."""
        return self.out_channels * (self.in_channels // self.groups) * self.kernel_size**2

    @property
    def depthwise(self) -> bool:
        """One input channel a group."""
        return self.groups == self.in_channels and self.groups > 1

    def _out(self, size: int) -> int:
        return (size + 2 * self.padding - self.dilation * (self.kernel_size - 1) - 1) // self.stride + 1

    def __str__(self) -> str:
        groups = f", groups {self.groups}" if self.groups > 1 else ""
        k = self.kernel_size
        return f"{self.in_channels}->{self.out_channels} {k}x{k} stride {self.stride}{groups} on {self.height}x{self.width}"


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs at deployment, metric by metric.

    Args:
        values: metric name to value in the metric's base unit (FLOPs as multiply-adds, parameters as a count).
    """

    values: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def __getitem__(self, metric: str) -> float:
        return self.values[metric]

    def __add__(self, other: Cost) -> Cost:
        names = {**self.values, **other.values}
        return Cost({n: self.values.get(n, 0) + other.values.get(n, 0) for n in names})

    def __reduce__(self) -> tuple[type[Cost], tuple[dict[str, float]]]:
        return Cost, (dict(self.values),)


_LEGAL: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "classes": (lambda v: v == 0 or v >= 2, "at least 2, or 0 for all"),
    "resolution": (lambda v: v >= 0, "a number of pixels, or 0 for the data set's own"),
    "epochs": (lambda v: v >= 1, "at least 1"),
    "batch_size": (lambda v: v >= 2, "at least 2 (BatchNorm has no statistics of one image)"),
    "lr": (lambda v: 0 < v < float("inf"), "a number above 0"),
    "weight_decay": (lambda v: 0 <= v < float("inf"), "0 or more"),
    "label_smoothing": (lambda v: 0 <= v < 1, "0 or more, below 1"),
    "warmup": (lambda v: 0 <= v < 1, "a share of all steps: 0 or more, below 1"),
    "augment": (lambda v: v in AUGMENTATIONS, ", ".join(AUGMENTATIONS)),
    "controller_lr": (lambda v: 0 <= v < float("inf"), "a multiple of the learning rate: 0 or more"),
    "controller_warmup": (lambda v: 0 <= v < 1, "a share of all steps: 0 or more, below 1"),
    "deadline": (lambda v: v >= 0, "seconds, or 0 for never"),
    "first_rung": (lambda v: v >= 0, "an epoch, or 0 for never"),
}


@dataclass(frozen=True, slots=True)
class ProxyTask:
    """A short training that stands in for the real one.

    Args:
        data: name of the data set, e.g. ``fashion-mini`` or ``folder:/data/imagenet``.
        resolution: side of the images the proxy trains on, in pixels; 0 keeps the data's own.
        classes: how many of the data's classes the proxy trains on, evenly spaced in their order; 0 for all.
        epochs: passes over the training part.
        batch_size: images a step.
        lr: peak learning rate of SGD with Nesterov momentum.
        weight_decay: on convolution and linear weights only.
        label_smoothing: of the cross entropy.
        warmup: share of all steps in which the learning rate rises linearly.
        augment: ``none``, ``flip`` or ``crop-flip``.
        controller_lr: times the learning rate, for what computes the operators' attentions.
        controller_warmup: share of all steps in which that rate rises linearly as well; until then a dynamic layer stays near
            its start, the static function.
        seed: of the trial: initial weights, order of the images, augmentation.
        deadline: seconds after which the training is given up as hung; 0 never.
        first_rung: epoch at which a search first compares trials and stops some; 0 never. Temperatures have reached 1 by then.

    Raises:
        UsageError: when a value cannot be trained with.
    """

    data: str = "fashion-mini"
    resolution: int = 0
    epochs: int = 3
    batch_size: int = 128
    lr: float = 0.1
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    warmup: float = 0.1
    augment: str = "flip"
    controller_lr: float = 1.0
    controller_warmup: float = 0.0
    seed: int = 0
    deadline: float = 0.0
    first_rung: int = 0
    classes: int = 0

    def __post_init__(self) -> None:
        for name, (legal, allowed) in _LEGAL.items():
            value = getattr(self, name)
            if not legal(value):
                raise UsageError(f"{name} cannot be {value!r}. Allowed: {allowed}.")


@dataclass(frozen=True, slots=True)
class Report:
    """What a training says after each epoch.

    Args:
        epoch: epochs done, from 1.
        accuracy: share of the validation images that are right, 0-1.
        loss: mean cross entropy over the validation images.
        seconds: since the training began.
    """

    epoch: int
    accuracy: float
    loss: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Score:
    """How a training ended: its last report, and every one before it."""

    accuracy: float
    loss: float
    epochs: int
    seconds: float
    curve: tuple[Report, ...] = ()


@dataclass(frozen=True, slots=True)
class Trial:
    """One architecture of a search and all that became of it.

    Args:
        number: position in the search, from 0.
        state: see `State`.
        architecture: what was tried.
        decisions: the options the sampler chose, by the decision's name.
        cost: priced before any training.
        score: the training's result; None before its first report.
        seed: of its training.
        reason: why it was refused, replayed, stopped, interrupted or failed; empty otherwise.
        origin: who asked for it: ``static`` (the reference network), ``start``, the sampler's name, ``confirm`` or ``retry``.
        started: seconds since the epoch.
        ended: seconds since the epoch; 0 while running.
    """

    number: int
    state: State
    architecture: Architecture
    decisions: Mapping[str, Setting]
    cost: Cost
    score: Score | None = None
    seed: int = 0
    reason: str = ""
    origin: str = ""
    started: float = 0.0
    ended: float = 0.0
