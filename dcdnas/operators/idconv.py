"""Input-dependent depthwise convolution (IDConv, from TransXNet): a few kernels, mixed separately for each channel and tap.

The paper claims that a depthwise convolution gains the input dependence of an attention block at little cost if its taps are
weighted with an attention computed from a k x k pooling of the map, one weight per tap. IDConv differs from DY-Conv, which
weights whole kernels and pools the map to one pixel, so that positions are lost.

Letters: N batch, C channels (in and out), H W map, k kernel size, G kernels, h hidden units, r reduction, P output pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from dcdnas.core.dimension import Choice
from dcdnas.core.geometry import ConvGeometry, Setting
from dcdnas.core.reference import Reference
from dcdnas.operators._arguments import Init, check_start
from dcdnas.operators._base import Operator
from dcdnas.operators._mixture import start_around
from dcdnas.operators._norm import BatchNorm, absorbed, added, folded_bias
from dcdnas.operators._per_sample import per_sample_conv2d
from dcdnas.operators._pixelwise import check_channelwise, check_depthwise, tap_deviation
from dcdnas.operators._pool import pooled, tiles
from dcdnas.operators._product import product
from dcdnas.operators._widths import by_width, hidden_units, plain

__all__ = ["IDConv"]


class IDConv(Operator):
    """y = W(x) * x + b(x), W(x) = sum_g S_g(x) . W_g, S(x) = softmax_g(conv1x1(GELU(BN(conv1x1(pool_{k x k}(x)))))).

    S weights the G depthwise kernels for each channel and tap; b(x) mixes the kernels' biases in the same way, with the map
    pooled to one pixel. IDConv replaces depthwise convolutions, and other square ones with any number of groups and as many
    output as input channels; it never mixes channels.

    Args:
        *place: C, D (which must equal C), k (odd and at least 3) and more, as in Conv2d; `groups` is accepted for compatibility
            and ignored.
        bias: whether each kernel has a bias, mixed by the same layers.
        num_kernels: G.
        reduction: r; the attention has max(1, C // r) hidden units.
        init: ``static``: the attention is uniform, so that the operator is initialised as a static convolution, and each kernel
            is initialised as a static one; ``published``: small kernels and default initialisation of the layers.

    Raises:
        GeometryError: if C is not the number of output channels, or k is even or 1.

    Departures:
        Beyond the published code it supports any stride and dilation, training at batch 1 with a bias, and batches of any size
        in ONNX.

    Reference:
        Lou, Zhang, Zhou, Yang, Wu, Yu: TransXNet: Learning Both Global and Local Dynamics with a Dual Dynamic Token Mixer for
        Visual Recognition. TNNLS 2025, arXiv 2310.19380.
    """

    REFERENCE = Reference(
        "lou2025transxnet",
        "Lou, Meng and Zhang, Shu and Zhou, Hong-Yu and Yang, Sibei and Wu, Chuan and Yu, Yizhou",
        "TransXNet: Learning Both Global and Local Dynamics with a Dual Dynamic Token Mixer for Visual Recognition",
        "TNNLS", 2025, "2310.19380",
    )  # fmt: skip

    PUBLISHED_FORM = ""

    num_kernels: int
    reduction: float

    shift: nn.Parameter | None
    """(C,), the shift that `fold` leaves to be added to the mixed bias."""

    def __init__(
        self,
        *place: Any,
        num_kernels: Annotated[int, Choice(at_least=2, at_most=8)] = 2,
        reduction: Annotated[float, Choice(at_least=1)] = 4,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        self._keep(num_kernels=num_kernels, reduction=reduction)
        channels, hidden = self.in_channels, hidden_units(self.in_channels, reduction)
        self.weight = nn.Parameter(torch.empty(num_kernels, channels, self.geometry.kernel_size**2))
        self.bias = nn.Parameter(torch.zeros(num_kernels, channels)) if self.has_bias else None
        self.register_parameter("shift", None)
        self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)
        self.norm: nn.Module = BatchNorm(hidden)
        self.excite = nn.Conv2d(hidden, num_kernels * channels, 1)
        self._initialise(init)

    def _initialise(self, init: Init) -> None:
        if init == "published":
            nn.init.trunc_normal_(self.weight, std=0.02)
            return
        nn.init.zeros_(self.excite.weight)
        nn.init.zeros_(self.excite.get_parameter("bias"))
        nn.init.normal_(self.weight, std=tap_deviation(self.geometry.kernel_size))

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Every geometry with as many output as input channels supports every setting; whole-number reductions become int."""
        check_channelwise("idconv", geometry)
        resolved = super().resolve(geometry, **settings)
        return resolved | {"reduction": plain(resolved["reduction"])}

    @classmethod
    def built(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> dict[str, Setting]:
        """The settings with the attention's number of hidden units in place of the reduction."""
        return by_width(geometry, settings)

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds: k^2 h C (1 + G) for the attention, G C k^2 to mix the kernels, P C k^2 to convolve."""
        mixed = int(settings["num_kernels"]) * geometry.in_channels * geometry.kernel_size**2
        return cls.controlling(geometry, settings) + mixed + cls.convolving(geometry, settings)

    @classmethod
    def convolving(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """C k^2 H'W' for any number of groups, because each channel is filtered by itself."""
        return geometry.in_channels * geometry.kernel_size**2 * geometry.out_pixels

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the attention: k^2 h C (1 + G)."""
        hidden = hidden_units(geometry.in_channels, settings["reduction"])
        return geometry.kernel_size**2 * hidden * geometry.in_channels * (1 + int(settings["num_kernels"]))

    @torch.no_grad()
    def deploy(self) -> None:
        """Folds the attention's norm into its first layer."""
        self.squeeze, self.norm = absorbed(self.squeeze, self.norm)

    def attention(self, pooled_map: Tensor) -> Tensor:
        """Computes S: (N, C, u, v) -> (N, G, C, u v), each in 0..1, with sum 1 over the kernels."""
        logits = self.excite(nn.functional.gelu(self.norm(self.squeeze(pooled_map)))).flatten(2)
        return torch.softmax(torch.unflatten(logits, 1, (self.num_kernels, self.in_channels)), 1)

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Makes the kernels' mean the given kernel, because a fresh attention weights all kernels equally.

        Raises:
            GeometryError: for a convolution that mixes channels.
        """
        check_depthwise("idconv", self.geometry)
        start_around(self.weight, kernel)
        self._start_bias(bias)

    def _fold(self, scale: Tensor, shift: Tensor) -> bool:
        """Folds into each kernel and its bias."""
        self.weight.mul_(scale.unsqueeze(1))
        if self.bias is not None:
            self.bias.mul_(scale)
        self.shift = folded_bias(self.shift, scale, shift)
        return True

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) -> (N, C, H', W')."""
        k = self.geometry.kernel_size
        weights = self._seen("kernel", self.attention(tiles(x, k)))
        kernels = product(weights, self.weight).sum(1)
        bias = None
        if self.bias is not None:
            bias = product(self.attention(pooled(x)[:, :, None, None]), self.bias[:, :, None]).sum(1).squeeze(2)
        bias = added(bias, self.shift)
        place = (self.geometry.stride, self.padding[0], self.geometry.dilation, self.in_channels)
        return per_sample_conv2d(x, torch.unflatten(kernels, 2, (1, k, k)), *place, self.portable, bias)
