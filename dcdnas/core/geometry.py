"""Geometry of a convolution, values of its settings, and costs of networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import index
from types import MappingProxyType
from typing import SupportsIndex

from dcdnas.errors import GeometryError

Setting = int | float | bool | str
"""A value of an operator's setting: a scalar, so that it is hashable, orderable in a table and the same in YAML and JSON."""

NUMBERS = "in_channels", "out_channels", "kernel_size", "stride", "groups", "dilation"
"""Sizes of a geometry that are always known. The map's may be symbols, while an exporter traces a network."""


def as_int(value: object) -> int | None:
    """Returns a whole number, Python's or NumPy's, as an int; None for anything else, also for True and False."""
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    try:
        return index(value)
    except TypeError:  # an array or a tensor of several numbers, or NumPy's True
        return None


@dataclass(frozen=True, slots=True, order=True)
class ConvGeometry:
    """Shape of a convolution and of its input map.

    Args:
        in_channels: C, channels of the input.
        out_channels: D, channels of the output.
        kernel_size: k, side of the square kernel.
        stride: stride of both axes.
        groups: as in `torch.nn.Conv2d`.
        dilation: dilation of both axes.
        height: H, rows of the *input* map.
        width: W, columns of the input map.

    Raises:
        GeometryError: when no `torch.nn.Conv2d` can have this geometry.
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
        for name in NUMBERS:
            value = getattr(self, name)
            if type(value) is not int:
                number = as_int(value)
                if number is None:
                    raise GeometryError(f"{name} must be a whole number, 1 or more, not {value!r:.60}.")
                object.__setattr__(self, name, number)
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
        """Whether the convolution is depthwise: several groups of one input channel each."""
        return self.groups == self.in_channels and self.groups > 1

    def _out(self, size: int) -> int:
        return (size + 2 * self.padding - self.dilation * (self.kernel_size - 1) - 1) // self.stride + 1

    def __str__(self) -> str:
        groups = f", groups {self.groups}" if self.groups > 1 else ""
        k = self.kernel_size
        return f"{self.in_channels}->{self.out_channels} {k}x{k} stride {self.stride}{groups} on {self.height}x{self.width}"


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of a network at deployment, by metric.

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
