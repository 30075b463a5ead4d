"""The interface that operators share with `torch.nn.Conv2d`: arguments, attributes, and inputs without a batch axis.

Letters in shapes: N batch, C input channels, D output channels, H W map, k kernel size.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dcdnas.core.geometry import ConvGeometry
from dcdnas.errors import GeometryError, UsageError
from dcdnas.operators._arguments import one_number, traced
from dcdnas.operators._observed import Observed
from dcdnas.operators._per_sample import Portable, per_sample_conv2d
from dcdnas.operators._shared_conv import convolved

Size = int | tuple[int, int]


class LikeConv2d(Observed):
    """Base class of layers with the constructor arguments of Conv2d.

    A subclass accepts these as ``*place`` and ``**others``, next to its own keyword arguments, and passes them on; `help` shows
    all of them. Its `forward` always receives a batch.

    Args:
        in_channels: C.
        out_channels: D.
        kernel_size: k, side of the square kernel. Like stride, padding and dilation, it may be a pair of equal numbers.
        stride: of both axes.
        padding: of all sides; as in Conv2d the default is 0.
        dilation: of both axes.
        groups: as in Conv2d.
        bias: whether a learnable bias is added.

    Raises:
        GeometryError: if no layer can have these arguments.
    """

    AXES: ClassVar[int] = 4
    """Number of axes of an input, including the batch axis."""

    padding_mode = "zeros"

    portable: Portable = False
    """Whether the batch must stay a separate axis instead of being folded into `groups`, which exporters require. "folded": use
    portable operations, but allow the batch in `groups`. The setting never changes the result."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        sizes = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        k, step, edge, apart, groups = (one_number(name, value) for name, value in sizes.items())
        if edge < 0:
            raise GeometryError(f"padding must be at least 0, not {edge}.")
        self.geometry = ConvGeometry(in_channels, out_channels, k, step, groups, apart)
        self.in_channels, self.out_channels, self.groups = self.geometry.in_channels, self.geometry.out_channels, groups
        self.kernel_size, self.stride, self.padding, self.dilation = ((n, n) for n in (k, step, edge, apart))
        self.has_bias = bias

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Lets `forward` accept unbatched inputs, as Conv2d does, and adds the inherited arguments to the shown signature."""
        super().__init_subclass__(**arguments)
        if "forward" in vars(cls):
            cls.forward = _of_batches(cls.forward, of_maps=cls.AXES == 4)
        cls.__signature__ = _signature(cls)  # type: ignore[attr-defined]

    def _fresh_bias(self) -> nn.Parameter | None:
        """Zeros of shape (D,) if the layer has a bias, else None."""
        return nn.Parameter(torch.zeros(self.out_channels)) if self.has_bias else None

    def _fresh_kernel(self) -> nn.Parameter:
        """An uninitialised kernel (D, C/g, k, k)."""
        return nn.Parameter(torch.empty(self.out_channels, self.in_channels // self.groups, *self.kernel_size))

    def _fresh_kernels(self, count: int) -> nn.Parameter:
        """Uninitialised kernels (count, D, C/g k^2); three axes, as `.to(memory_format=torch.channels_last)` raises on five."""
        return nn.Parameter(torch.empty(count, self.out_channels, self.geometry.weights // self.out_channels))

    def _convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) with one kernel (D, C/g, k, k) for all samples: (N, D, H', W')."""
        g = self.geometry
        return convolved(x, kernel, bias, g.stride, self.padding[0], g.dilation, g.groups)

    def _convolve_each(self, x: Tensor, kernels: Tensor, bias: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) with a separate kernel for each sample, (N, D, C/g, k, k): (N, D, H', W')."""
        g = self.geometry
        return per_sample_conv2d(x, kernels, g.stride, self.padding[0], g.dilation, g.groups, self.portable, bias)

    def _check_input(self, x: Tensor, axes: int) -> None:
        if x.dim() not in (axes - 1, axes) or (not traced() and x.shape[1 - axes] != self.in_channels):
            sizes = ", ".join([str(self.in_channels), "H", "W"][: axes - 1])
            one = sizes if axes > 2 else f"{sizes},"
            raise UsageError(
                f"{type(self).__name__} was made with in_channels={self.in_channels} and got an input of shape {tuple(x.shape)}. "
                f"Allowed: (N, {sizes}), or ({one}) for one sample."
            )


def _of_batches(forward: Callable[..., Tensor], of_maps: bool) -> Callable[..., Tensor]:
    """Wraps `forward` so that it also accepts an input without a batch axis; its guide and the result then have none either.

    Args:
        forward: takes (N, C, H, W), or (N, C).
        of_maps: whether `forward` takes (N, C, H, W). A flag instead of the number of axes, because a compiler with dynamic
            shapes treats a captured number as variable.
    """

    @wraps(forward)
    def checked(self: LikeConv2d, x: Tensor, guide: Tensor | None = None) -> Tensor:
        axes = 4 if of_maps else 2
        self._check_input(x, axes)
        if x.dim() == axes:
            return forward(self, x) if guide is None else forward(self, x, guide)
        batch = (tensor.unsqueeze(0) for tensor in (x, guide) if tensor is not None)
        return forward(self, *batch).squeeze(0)

    return checked


def _signature(cls: type[LikeConv2d]) -> inspect.Signature:
    """The constructor's signature, with ``*place`` and ``**others`` replaced by the arguments of the base class."""
    own = list(inspect.signature(cls.__init__).parameters.values())[1:]
    if not any(p.kind is p.VAR_POSITIONAL for p in own):
        return inspect.Signature(own)
    base = next(c for c in cls.__mro__[1:] if issubclass(c, LikeConv2d))
    passed_on = inspect.signature(base).parameters
    added = {p.name: p for p in own if p.kind is p.KEYWORD_ONLY}
    return inspect.Signature([*(p for name, p in passed_on.items() if name not in added), *added.values()])
