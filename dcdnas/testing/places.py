"""Means to check the contract of an operator: geometries, settings, random parameters, an independent counter.

Letters in shapes: N batch, C input channels, D output channels, H W map.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from dcdnas.core.dimension import Dimension, dimensions
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.errors import GeometryError
from dcdnas.operators import Operator, counting


def place(
    c: int, d: int, k: int, stride: int = 1, groups: int = 1, dilation: int = 1, height: int = 7, width: int = 6
) -> ConvGeometry:
    """Creates a geometry, on a small map unless a size is given.

    Args:
        c: C.
        d: D.
        k: kernel size.
        stride: of both axes.
        groups: number of groups of the channels.
        dilation: of both axes.
        height: H.
        width: W.
    """
    return ConvGeometry(c, d, k, stride, groups, dilation, height, width)


QUICK = (
    place(3, 8, 3, 2, height=9, width=7),
    place(8, 24, 1, height=5, width=7),
    place(16, 16, 1, height=1, width=1),
    place(6, 6, 3, groups=6),
    place(8, 12, 3, groups=2, height=5, width=6),
    place(16, 16, 3, dilation=2, height=9, width=8),
)
"""1x1 and 3x3; stride 2; an odd map and one of a single pixel; depthwise, grouped, dilated; C of 3. Checked first."""

GEOMETRIES = (
    *QUICK,
    place(24, 8, 1, 2, height=7, width=6),
    place(8, 8, 5, 2, groups=8, height=9, width=9),
    place(6, 12, 3, 2, groups=6),
    place(8, 16, 1, groups=4, height=4, width=4),
    place(5, 7, 5, height=6, width=5),
    place(16, 16, 3, height=1, width=1),
    place(12, 12, 3, 2),
    place(1, 1, 1, height=5, width=5),
    place(2, 1, 3, height=4, width=4),
)
"""1x1, 3x3, 5x5; stride 1 and 2; odd maps, 1x1 maps; depthwise, multiplier 2, grouped, dilated; C < D, C > D, C of 1, 2, 3."""


def supported(operator: type[Operator]) -> list[ConvGeometry]:
    """Returns the geometries that an operator supports with its default settings."""
    return [g for g in GEOMETRIES if refusal(operator, g) is None]


def refusal(operator: type[Operator], geometry: ConvGeometry, **settings: Any) -> GeometryError | None:
    """Returns the error with which an operator refuses a geometry, or None."""
    try:
        operator.resolve(geometry, **settings)
    except GeometryError as error:
        return error
    return None


def variations(operator: type[Operator]) -> Iterator[dict[str, Any]]:
    """Yields the default settings, then each value of each search dimension, changed one at a time."""
    yield {}
    for name, dimension in dimensions(operator).items():
        yield from ({name: value} for value in values(dimension) if value != dimension.default)


def sampled(operator: type[Operator], geometry: ConvGeometry, count: int = 3) -> list[dict[str, Any]]:
    """Returns the resolved default settings at a geometry and `count` of the other variations that it supports.

    The variations rotate over the geometries, so that each is checked at several of them, but not at every one, to save time.

    Args:
        operator: whose settings are varied.
        geometry: that they are resolved for.
        count: of the variations beside the defaults.
    """
    default, *others = [v for v in variations(operator) if refusal(operator, geometry, **v) is None]
    first = turn_of(geometry) * count
    turn = [others[(first + i) % len(others)] for i in range(min(count, len(others)))]
    resolved = [operator.resolve(geometry, **v) for v in (default, *turn)]
    return [s for i, s in enumerate(resolved) if s not in resolved[:i]]


def turn_of(geometry: ConvGeometry) -> int:
    """Returns the index of a geometry among those that are checked; 0 for others."""
    return GEOMETRIES.index(geometry) if geometry in GEOMETRIES else 0


def forms(operator: type[Operator], geometry: ConvGeometry, count: int = 3) -> list[tuple[dict[str, Any], str]]:
    """Returns each of the sampled settings with each of its forms; see `sampled`."""
    return [(s, form) for s in sampled(operator, geometry, count) for form in operator.forms(geometry, s)]


def values(dimension: Dimension) -> list[Setting]:
    """Returns some allowed values of a dimension: all words, True and False, small numbers, the smallest and the largest."""
    numbers = (dimension.choice.at_least, 1, 2, 3, 4, 8, dimension.choice.at_most)
    candidates: list[Any] = [*dimension.choice.words, True, False, *dict.fromkeys(numbers)]
    return [v for v in candidates if v is not None and allowed(dimension, v)]


def allowed(dimension: Dimension, value: Setting) -> bool:
    """Whether a dimension allows a value."""
    try:
        dimension.check(value)
    except Exception:
        return False
    return True


def make(operator: type[Operator], geometry: ConvGeometry, seed: int = 0, **settings: Any) -> Operator:
    """Builds an operator in float64 and eval mode with random parameters, so that every branch affects the output.

    Args:
        operator: to be built.
        geometry: of its place.
        seed: of the parameters.
        **settings: resolved for the place.
    """
    torch.manual_seed(seed)
    made: Operator = randomise(operator.at(geometry, **settings).double().eval())
    return made


def randomise(module: Any) -> Any:
    """Fills parameters and running statistics with random numbers, scaled for outputs of about unit scale."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) / math.sqrt(max(1, parameter[0].numel()) if parameter.dim() > 1 else 4))
        for norm in module.modules():
            if (
                isinstance(norm, nn.modules.batchnorm._BatchNorm)
                and norm.running_mean is not None
                and norm.running_var is not None
            ):
                norm.running_mean.normal_(std=0.3)
                norm.running_var.uniform_(0.5, 2)
    return module


def image(geometry: ConvGeometry, batch: int = 2, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    """Returns a random input (N, C, H, W) of the geometry's size.

    Args:
        geometry: with C, H and W.
        batch: N.
        dtype: of the input.
        seed: of the numbers.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, geometry.in_channels, geometry.height, geometry.width)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the FLOPs of each operation by torch's own formulas, and those of the marked products."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out: Any = func(*args, **(kwargs or {}))
        if func.overloadpacket is torch.ops.dcdnas.product:
            self.flops += 2 * out.numel()
        elif func.overloadpacket in flop_registry:
            self.flops += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        return out


def oracle(module: nn.Module, x: Tensor) -> int:
    """Counts the multiply-adds of one forward pass by torch's own formulas (two FLOPs each), plus the marked products."""
    with torch.no_grad(), counting(), Counter() as counter:
        module(x)
    return int(counter.flops // 2)
