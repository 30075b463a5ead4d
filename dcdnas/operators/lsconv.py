"""Large-small convolution (LSConv): a large depthwise kernel gathers context, from which each pixel's small filter is generated.

The paper claims that a layer should perceive a large neighbourhood and aggregate a small one, as human vision does: the filters
of a 3 x 3 neighbourhood are generated from a 7 x 7 neighbourhood. LSConv differs from involution, which generates the filter of
a pixel from this pixel alone.

Letters: N batch, C channels (in and out), H W map, k kernel size, K size of the large kernel, G filters a pixel, h hidden units,
r reduction, P output pixels.
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
from dcdnas.operators._norm import BatchNorm, absorbed, activated
from dcdnas.operators._per_sample import centred
from dcdnas.operators._pixelwise import PixelFilter, tap_deviation
from dcdnas.operators._shared_conv import Conv2d
from dcdnas.operators._widths import hidden_units

__all__ = ["LSConv"]

RELU = nn.ReLU()


class LSConv(PixelFilter):
    """y_c(p) = sum_t [w_g(c)(t, p) + v_c(t)] x_c(p + t), where channel c takes filter c mod G.

    w = GN(conv1x1(ReLU(BN(conv1x1(BN(dw_KxK(ReLU(BN(conv1x1(x)))))))))), with the GroupNorm over the k^2 taps of a filter and
    all pixels. LSConv replaces depthwise convolutions, and other square ones with any number of groups and as many output as
    input channels; it never mixes channels.

    Args:
        *place: C, D (which must equal C), k (odd and at least 3) and more, as in Conv2d; the large kernel applies the stride.
            `groups` is accepted for compatibility and ignored.
        group_channels: C / G, the number of channels that share a filter; the nearest divisor of C at or below it is used.
        large: K, odd.
        own_taps: whether each channel has its own static taps v, which are added. The published layer has none and adds x to
            the normalised output instead.
        reduction: r; the filters are generated from max(1, C // r) hidden channels.
        init: ``static``: the filters are the same for any input and pixel, so that the operator is initialised as a static
            depthwise convolution; ``published``: default initialisation of the layers, and v = 0.

    Raises:
        GeometryError: if C is not the number of output channels, or k is even or 1.

    Departures:
        Unlike the published layer it has own taps instead of a shortcut, leaves the shortcut's BatchNorm to the network, and
        supports a stride.

    Reference:
        Wang, Chen, Lin, Han, Ding: LSNet: See Large, Focus Small. CVPR 2025, arXiv 2503.23135.
    """

    REFERENCE = Reference(
        "wang2025lsnet",
        "Wang, Ao and Chen, Hui and Lin, Zijia and Han, Jungong and Ding, Guiguang",
        "LSNet: See Large, Focus Small", "CVPR", 2025, "2503.23135",
    )  # fmt: skip

    PUBLISHED_FORM = ""
    INTERLEAVED = True

    large: int
    reduction: float

    def __init__(
        self,
        *place: Any,
        group_channels: Annotated[int, Choice(at_least=1, at_most=64)] = 8,
        large: Annotated[int, Choice(at_least=3, at_most=15, odd=True)] = 7,
        own_taps: Annotated[bool, Choice()] = True,
        reduction: Annotated[float, Choice(at_least=1)] = 2,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        self._keep(group_channels=group_channels, large=large, own_taps=own_taps, reduction=reduction)
        self._make_taps()
        channels, made = self.in_channels, self.groups_of_filters * self.geometry.kernel_size**2
        hidden = hidden_units(channels, reduction)
        self.squeeze: nn.Conv2d = Conv2d(channels, hidden, 1, bias=False)
        self.look: nn.Conv2d = Conv2d(hidden, hidden, self.large, self.stride, self.large // 2, groups=hidden, bias=False)
        self.mix: nn.Conv2d = Conv2d(hidden, hidden, 1, bias=False)
        self.norms = nn.ModuleList(BatchNorm(hidden) for _ in range(3))
        self.excite = nn.Conv2d(hidden, made, 1)
        self.filter_norm = nn.GroupNorm(self.groups_of_filters, made)
        if init == "static":
            self._start_static()

    def _start_static(self) -> None:
        std = tap_deviation(self.geometry.kernel_size)
        if self.own is not None:
            self._silence()
            nn.init.normal_(self.own, std=std)
            return
        nn.init.zeros_(self.excite.weight)
        nn.init.normal_(self.excite.get_parameter("bias"))
        nn.init.constant_(self.filter_norm.weight, std)

    def _silence(self) -> None:
        nn.init.zeros_(self.filter_norm.weight)
        nn.init.zeros_(self.filter_norm.bias)

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds that generate the filters: h (C HW + P (K^2 + h + k^2 G))."""
        g, hidden = geometry, hidden_units(geometry.in_channels, settings["reduction"])
        made = g.kernel_size**2 * (g.in_channels // int(settings["group_channels"]))
        at_output = int(settings["large"]) ** 2 + hidden + made
        return hidden * (g.in_channels * g.height * g.width + g.out_pixels * at_output)

    @torch.no_grad()
    def deploy(self) -> None:
        """Folds the BatchNorms into the layers that generate the filters."""
        first, second, third = self.norms
        self.squeeze, first = absorbed(self.squeeze, first)
        self.look, second = absorbed(self.look, second)
        self.mix, third = absorbed(self.mix, third)
        self.norms = nn.ModuleList((first, second, third))

    def filters(self, x: Tensor) -> Tensor:
        """Generates w: (N, C, H, W) -> (N, G, k*k, H', W')."""
        g, (first, second, third) = self.geometry, self.norms
        seen = centred(x, g.kernel_size, self.padding[0], g.dilation)
        looked = second(self.look(activated(self.squeeze(seen), first, RELU)))
        made: Tensor = self.filter_norm(self.excite(activated(self.mix(looked), third, RELU)))
        return torch.unflatten(made, 1, (self.groups_of_filters, g.kernel_size**2))
