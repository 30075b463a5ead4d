"""Involution: a filter generated at each pixel from that pixel's features, shared by a group of channels.

The paper claims that inverting the properties of convolution, with filters that differ over the map and are shared by channels,
gives a layer a larger receptive field at lower cost, and that self-attention is a more complex instance of it. Involution
differs from the dynamic convolutions that use one kernel for all pixels of an image, and from DDF, in which each channel has its
own filter as a factor.

Letters: N batch, C channels (in and out), H W map, k kernel size, G groups of channels, h hidden units, r reduction, P output
pixels.
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
from dcdnas.operators._arguments import Init, check_start
from dcdnas.operators._norm import BatchNorm, absorbed
from dcdnas.operators._per_sample import centred
from dcdnas.operators._pixelwise import PixelFilter, tap_deviation
from dcdnas.operators._widths import hidden_units

__all__ = ["Involution"]


class Involution(PixelFilter):
    """y_c(p) = sum_t [w_g(c)(t, p) + v_c(t)] x_c(p + t), w = conv1x1(ReLU(BN(conv1x1(x)))) at each output pixel.

    Involution replaces depthwise convolutions, and other square ones with any number of groups and as many output as input
    channels; it never mixes channels.

    Args:
        *place: C, D (which must equal C), k (odd and at least 3) and more, as in Conv2d. With a stride s, the filters are
            generated from the mean of the s x s pixels that begin at each output pixel. `groups` is accepted for compatibility
            and ignored.
        group_channels: C / G, the number of neighbouring channels that share a filter; the nearest divisor of C at or below it
            is used.
        own_taps: whether each channel has its own static taps v, which are added; the published layer has none.
        reduction: r; the filters are generated from max(1, C // r) hidden units per pixel.
        init: ``static``: the filters are the same for any input and pixel, so that the operator is initialised as a static
            depthwise convolution; ``published``: default initialisation of the layers, and v = 0.

    Raises:
        GeometryError: if C is not the number of output channels, or k is even or 1.

    Departures:
        Unlike the published code it has own taps, unless `own_taps` is False, and supports odd maps with a stride.

    Reference:
        Li, Hu, Wang, Li, She, Zhu, Zhang, Chen: Involution: Inverting the Inherence of Convolution for Visual Recognition.
        CVPR 2021, arXiv 2103.06255.
    """

    REFERENCE = Reference(
        "li2021involution",
        "Li, Duo and Hu, Jie and Wang, Changhu and Li, Xiangtai and She, Qi and Zhu, Lei and Zhang, Tong and Chen, Qifeng",
        "Involution: Inverting the Inherence of Convolution for Visual Recognition", "CVPR", 2021, "2103.06255",
    )  # fmt: skip

    PUBLISHED_FORM = ""

    reduction: float

    def __init__(
        self,
        *place: Any,
        group_channels: Annotated[int, Choice(at_least=1, at_most=64)] = 16,
        own_taps: Annotated[bool, Choice()] = True,
        reduction: Annotated[float, Choice(at_least=1)] = 4,
        init: Init = "static",
        **others: Any,
    ) -> None:
        super().__init__(*place, **others)
        check_start(init)
        self._keep(group_channels=group_channels, own_taps=own_taps, reduction=reduction)
        self._make_taps()
        hidden = hidden_units(self.in_channels, reduction)
        self.squeeze = nn.Conv2d(self.in_channels, hidden, 1, bias=False)
        self.norm: nn.Module = BatchNorm(hidden)
        self.excite = nn.Conv2d(hidden, self.groups_of_filters * self.geometry.kernel_size**2, 1)
        if init == "static":
            self._silence()
            learnt = self.excite.get_parameter("bias") if self.own is None else self.own
            nn.init.normal_(learnt, std=tap_deviation(self.geometry.kernel_size))

    def _silence(self) -> None:
        nn.init.zeros_(self.excite.weight)
        nn.init.zeros_(self.excite.get_parameter("bias"))

    @classmethod
    def controlling(cls, geometry: ConvGeometry, settings: Mapping[str, Setting]) -> int:
        """Multiply-adds that generate the filters: P h (C + k^2 G)."""
        hidden = hidden_units(geometry.in_channels, settings["reduction"])
        made = geometry.kernel_size**2 * (geometry.in_channels // int(settings["group_channels"]))
        return geometry.out_pixels * hidden * (geometry.in_channels + made)

    @torch.no_grad()
    def deploy(self) -> None:
        """Folds the norm into the first of the layers that generate the filters."""
        self.squeeze, self.norm = absorbed(self.squeeze, self.norm)

    def filters(self, x: Tensor) -> Tensor:
        """Generates w: (N, C, H, W) -> (N, G, k*k, H', W')."""
        g = self.geometry
        seen = centred(x, g.kernel_size, self.padding[0], g.dilation)
        if g.stride > 1:
            seen = F.avg_pool2d(seen, g.stride, g.stride, ceil_mode=True)
        made: Tensor = self.excite(torch.relu(self.norm(self.squeeze(seen))))
        return torch.unflatten(made, 1, (self.groups_of_filters, g.kernel_size**2))
