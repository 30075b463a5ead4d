"""Attentive convolution (ATConv): a depthwise kernel generated for each input and channel from the pooled map.

The paper claims that self-attention is strong because it adapts to the input and lets positions compete, and that a convolution
gains both if its kernel is generated from the map and reduced by its own mean (lateral inhibition). ATConv differs from IDConv,
which mixes stored kernels: here the k^2 taps of a channel are a linear function of the k^2 pooled values of this channel, and all
channels share its weights.

Letters: N batch, C channels (in and out), H W map, k kernel size, P output pixels.
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
from dcdnas.operators._arguments import Init, check_start
from dcdnas.operators._base import CONTROLLER_SPEED, Operator
from dcdnas.operators._per_sample import per_sample_conv2d
from dcdnas.operators._pixelwise import check_channelwise, check_depthwise, tap_deviation
from dcdnas.operators._pool import bands, tiles
from dcdnas.operators._product import product

__all__ = ["ATConv"]

MEAN_SQUARE = 0.42
"""Mean square of a value behind a BatchNorm, a ReLU and the GELU; that of the mean of several values is smaller."""


class ATConv(Operator):
    """y_c = (K_c(x) + v_c) * x_c, K_c = M_c - sigmoid(lambda_c) mean(M_c), M_c = A GELU(pool(x_c)) + a.

    The mean is over the k^2 taps. A (k^2 x k^2) and a are shared by all channels; lambda_c and the own taps v_c, a static kernel,
    are a channel's own. ATConv replaces depthwise convolutions, and other square ones with any number of groups and as many
    output as input channels; it never mixes channels.

    Args:
        *place: C, D (which must equal C), k (odd and at least 3) and more, as in Conv2d; `groups` is accepted for compatibility
            and ignored.
        own_taps: whether each channel has own taps v, which replace the shared bias a. The published layer has none.
        pool: ``grid``: the map is pooled to k x k tiles, so that a pooled value stands where its tap does; ``bands``, as
            published: the map, read row by row, is pooled to k^2 successive intervals, which are bands of rows.
        init: ``static``: the generated kernel is the same for any input, so that the operator is initialised as a static
            depthwise convolution; ``published``: a small random A, a = 0 and v = 0.

    Raises:
        GeometryError: if C is not the number of output channels, or k is even or 1.

    Departures:
        The published layer also contains three 1x1 convolutions: one before the pooling, one before and one after the depthwise
        convolution. A network's own 1x1 layers take the place of the last two, and the kernel is generated from the layer's
        input. Own taps, the grid, stride and dilation are additions.

    Reference:
        Yu, Chen, Jiang, Peng, Sun, Kaski, Zhao: Attentive Convolution: Unifying the Expressivity of Self-Attention with
        Convolutional Efficiency. 2025, arXiv 2510.20092.
    """

    REFERENCE = Reference(
        "yu2025attentive",
        "Yu, Hao and Chen, Haoyu and Jiang, Yan and Peng, Wei and Sun, Zhaodong and Kaski, Samuel and Zhao, Guoying",
        "Attentive Convolution: Unifying the Expressivity of Self-Attention with Convolutional Efficiency",
        "arXiv", 2025, "2510.20092",
    )  # fmt: skip

    PUBLISHED_FORM = ""

    own_taps: bool
    pool: str

    own: nn.Parameter | None
    """v: (C, k*k)."""

    def __init__(
        self,
        *place: Any,
        own_taps: Annotated[bool, Choice()] = True,
        pool: Annotated[str, Choice(words=("grid", "bands"))] = "grid",
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        self._keep(own_taps=own_taps, pool=pool)
        taps = self.geometry.kernel_size**2
        self.generate = nn.Linear(taps, taps, bias=not own_taps)
        self.inhibition = nn.Parameter(torch.zeros(self.in_channels))
        self.own = nn.Parameter(torch.zeros(self.in_channels, taps)) if own_taps else None
        self.bias = self._fresh_bias()
        self.controller_rate = min(1.0, CONTROLLER_SPEED / (taps * MEAN_SQUARE))
        self._initialise(init)

    def controller_parameters(self) -> list[Tensor]:
        """The weights of the linear layer, because its steps grow with the k^2 values that it reads; its bias is a kernel."""
        return [self.generate.weight]

    def _initialise(self, init: Init) -> None:
        if init == "published":
            nn.init.trunc_normal_(self.generate.weight, std=0.02)
            if self.own is None:
                nn.init.zeros_(self.generate.bias)
            return
        nn.init.zeros_(self.generate.weight)
        nn.init.normal_(self.generate.bias if self.own is None else self.own, std=tap_deviation(self.geometry.kernel_size))

    @classmethod
    def resolve(cls, geometry: ConvGeometry, **settings: Setting) -> dict[str, Setting]:
        """Every geometry with as many output as input channels and an odd kernel of 3 or more supports every setting."""
        check_channelwise("atconv", geometry)
        return super().resolve(geometry, **settings)

    @classmethod
    def multiply_adds(cls, geometry: ConvGeometry, settings: Mapping[str, Setting], form: str = "") -> int:
        """Multiply-adds: C k^4 to generate the kernels, C for the inhibition, P C k^2 to convolve."""
        return cls.controlling(geometry, settings) + geometry.in_channels + cls.convolving(geometry, settings)

    @classmethod
    def convolving(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """C k^2 H'W' for any number of groups, because each channel is filtered by itself."""
        return geometry.in_channels * geometry.kernel_size**2 * geometry.out_pixels

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds of the linear layer that generates the kernels: C k^4."""
        return geometry.in_channels * geometry.kernel_size**4

    def continues(self, other: Operator) -> bool:
        """Whether the other layer pools alike, too, because the linear layer reads the pooled values by their places."""
        return isinstance(other, ATConv) and self.pool == other.pool and super().continues(other)

    def filters(self, x: Tensor) -> Tensor:
        """Generates K: (N, C, H, W) -> (N, C, k*k)."""
        k = self.geometry.kernel_size
        seen = tiles(x, k).flatten(2) if self.pool == "grid" else bands(x, k * k)
        made: Tensor = self.generate(F.gelu(seen))
        return made - product(torch.sigmoid(self.inhibition).unsqueeze(1), made.mean(2, keepdim=True))

    def _start_as(self, kernel: Tensor, bias: Tensor | None) -> None:
        """Sets the own taps to the given kernel and the generated kernel to 0.

        Raises:
            GeometryError: for a convolution that mixes channels, or if there are no own taps.
        """
        check_depthwise("atconv", self.geometry)
        if self.own is None:
            raise GeometryError("atconv without own_taps begins with one kernel for all channels. Allowed: own_taps=True.")
        self.own.copy_(kernel.flatten(1))
        nn.init.zeros_(self.generate.weight)
        self._start_bias(bias)

    def forward(self, x: Tensor, guide: Tensor | None = None) -> Tensor:
        """Convolves (N, C, H, W) -> (N, C, H', W')."""
        g = self.geometry
        made = self._seen("channel filter", self.filters(x))
        kernels = torch.unflatten(made if self.own is None else made + self.own, 2, (1, g.kernel_size, g.kernel_size))
        place = (g.stride, self.padding[0], g.dilation, self.in_channels)
        return per_sample_conv2d(x, kernels, *place, self.portable, self.bias)
