"""Mixed depthwise convolution (MixConv): groups of channels that are filtered with kernels of different sizes; static.

The paper claims that small kernels resolve detail and large ones see patterns, so that a depthwise layer should have both.
Nothing depends on the input: MixConv is a static layer to compare dynamic depthwise layers with, some of which see more than the
slot's kernel does. It differs from SK, which filters every channel at two receptive fields and blends them for each input.

Letters: N batch, C input channels, D output channels, H W map, k kernel size, S kernel sizes, P output pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.errors import GeometryError
from dcdnas.operators._base import Operator
from dcdnas.operators._norm import folded_bias
from dcdnas.operators._pixelwise import check_channelwise, check_depthwise, tap_deviation
from dcdnas.operators._shared_conv import convolved

__all__ = ["MixConv"]

CALLS = 12_000
"""Number of written elements that take as long as the additional calls of the ``split`` form, as measured on a CPU."""


class MixConv(Operator):
    """y = concat_i(W_i * x_i): the channels are split into S parts x_i, filtered with kernels of the sizes k, k + 2, ...

    All kernels are centred on the same pixels, with the slot's stride and dilation: a kernel of size k + 2 i has i * dilation
    more pixels of padding than the slot's own.

    Form ``split`` convolves each part with its own kernel. Form ``joined`` pads all kernels with zeros to the largest size and
    convolves once: it takes more multiply-adds but fewer calls, and is executed in eval mode on small maps.

    Args:
        *place: C, D, k and more, as in Conv2d, with as many groups as input channels; with another number of groups, C must equal
            D and k be odd and at least 3, and `groups` is ignored.
        num_sizes: S, reduced to C if there are fewer channels.
        partition: ``equal``: parts of C // S channels, of which the first takes the remainder; ``exponential``: each part takes
            half of the channels that are left, rounded up, and the last one what remains. For two sizes both are the same.

    Raises:
        GeometryError: if the convolution is not depthwise, and C is not D or k is even or 1.

    Departures:
        The sizes begin at the slot's own k, instead of always at 3, and there are at least two of them. The exponential
        partition leaves at least one channel for each size.

    Reference:
        Tan, Le: MixConv: Mixed Depthwise Convolutional Kernels. BMVC 2019, arXiv 1907.09595.
    """

    REFERENCE = Reference(
        "tan2019mixconv",
        "Tan, Mingxing and Le, Quoc V.",
        "MixConv: Mixed Depthwise Convolutional Kernels", "BMVC", 2019, "1907.09595",
    )  # fmt: skip

    FORMS = ("split", "joined")
    PUBLISHED_FORM = "split"

    num_sizes: int
    partition: str

    def __init__(
        self,
        *place: Any,
        num_sizes: Annotated[int, Choice(at_least=2, at_most=5)] = 3,
        partition: Annotated[str, Choice(words=("equal", "exponential"))] = "equal",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        self._keep(num_sizes=num_sizes, partition=partition)
        self.parts = parts_of(self.geometry, self._settings())
        each = self.out_channels // self.in_channels
        for part, size in self.parts:  # by names that are identifiers, unlike those of a ParameterList
            kernel = nn.Parameter(torch.empty(each * part, 1, size, size))
            nn.init.normal_(kernel, std=tap_deviation(size) / each**0.5)
            self.register_parameter(f"kernel{size}", kernel)
        self.bias = self._fresh_bias()

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Checks that channels can be filtered by themselves, and reduces the number of sizes to that of the channels."""
        if not geometry.depthwise:
            check_channelwise("mixconv", geometry)
        if geometry.in_channels < 2:
            raise GeometryError("mixconv splits the channels, so it needs 2 or more of them. Use static or sk in this place.")
        resolved = super().resolve(geometry, **settings)
        return resolved | {"num_sizes": min(int(resolved["num_sizes"]), geometry.in_channels)}

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The channels of each size, because both partitions of a few channels may be the same."""
        return {"channels": "+".join(str(part) for part, _ in parts_of(geometry, settings))}

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds: split P D/C sum_i C_i k_i^2; joined P D k_S^2, with the largest size k_S."""
        if form == "joined":
            return geometry.out_pixels * geometry.out_channels * parts_of(geometry, settings)[-1][1] ** 2
        return cls.convolving(geometry, settings)

    @classmethod
    def convolving(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of all parts, each with its own kernel size."""
        each = geometry.out_channels // geometry.in_channels
        return geometry.out_pixels * each * sum(part * size**2 for part, size in parts_of(geometry, settings))

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Returns 0, because nothing depends on the input."""
        return 0

    @classmethod
    def traffic(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str) -> int:
        """The joined form writes its output once; what the split form writes besides is in cache, and counts a quarter."""
        return 0 if form == "joined" else geometry.out_channels * geometry.out_pixels // 4 + CALLS

    def continues(self, other: Operator) -> bool:
        """Whether the same channels have the same sizes; the channels of a narrower layer are split elsewhere."""
        return isinstance(other, MixConv) and self.parts == other.parts

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Copies the kernel, with zeros around it where a channel's own kernel is larger.

        Raises:
            GeometryError: for a convolution that mixes channels.
        """
        check_depthwise("mixconv", self.geometry)
        for own, given in zip(self.kernels, torch.split(kernel, self._widths()), strict=True):
            own.copy_(self._widened(given, own.shape[-1]))
        self._start_bias(bias)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into the kernels and the bias."""
        for kernel, own in zip(self.kernels, torch.split(scale, self._widths()), strict=True):
            kernel.mul_(own.view(-1, 1, 1, 1))
        self.bias = folded_bias(self.bias, scale, shift)
        return True

    @property
    def kernels(self) -> list[nn.Parameter]:
        """The kernels of the parts, (D_i, 1, k_i, k_i) each: the parameters ``kernel3``, ``kernel5`` and so on."""
        return [self.get_parameter(f"kernel{size}") for _, size in self.parts]

    def joined(self) -> Tensor:
        """All kernels as one, padded with zeros to the largest size: (D, 1, K, K)."""
        size = self.kernels[-1].shape[-1]
        return torch.cat([self._widened(kernel, size) for kernel in self.kernels])

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) -> (N, D, H', W')."""
        if self._form(x) == "joined":
            return self._filtered(x, self.joined(), self.bias)
        biases = [None] * len(self.parts) if self.bias is None else torch.split(self.bias, self._widths())
        maps = torch.split(x, [part for part, _ in self.parts], 1)
        if self.training and x.is_contiguous(memory_format=torch.channels_last):  # which the compiled kernels require
            maps = tuple(part.contiguous(memory_format=torch.channels_last) for part in maps)
        return torch.cat([self._filtered(*of) for of in zip(maps, self.kernels, biases, strict=True)], 1)

    def _filtered(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Convolves some channels with kernels of one size (D_i, 1, k_i, k_i), centred on the pixels of the slot's own kernel."""
        g = self.geometry
        padding = self.padding[0] + g.dilation * ((kernel.shape[-1] - g.kernel_size) // 2)
        groups = len(kernel) * g.in_channels // g.out_channels
        return convolved(x, kernel, bias, g.stride, padding, g.dilation, groups)

    def _widths(self) -> list[int]:
        """Output channels of each part."""
        return [len(kernel) for kernel in self.kernels]

    @staticmethod
    def _widened(kernel: Tensor, size: int) -> Tensor:
        """A kernel with zeros around it, up to the given size."""
        return F.pad(kernel, [(size - kernel.shape[-1]) // 2] * 4)


def parts_of(geometry: ConvGeometry, settings: Mapping[str, Setting]) -> list[tuple[int, int]]:
    """The number of input channels and the kernel size of each part, in the order of the channels.

    Args:
        geometry: of the layer.
        settings: resolved for the geometry.
    """
    left = geometry.in_channels
    parts: list[tuple[int, int]] = []
    for later in range(int(settings["num_sizes"]) - 1, -1, -1):
        equal = left - left // (later + 1) * later
        part = equal if settings["partition"] == "equal" or not later else min((left + 1) // 2, left - later)
        parts.append((part, geometry.kernel_size + 2 * len(parts)))
        left -= part
    return parts
